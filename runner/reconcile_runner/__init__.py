"""The reconcile runner: Kubernetes events in, runs of Ansible roles out.

Read the modules in the order in which an event passes them: ``reflector`` -> ``informer`` -> ``source``
(``predicate``, ``handler``) -> ``workqueue`` -> ``controller`` -> ``reconciler`` -> ``jobrunner`` -> ``execution``.
What comes of it: ``status``, ``finalizer``, ``recorder``. ``manager`` starts and stops all of it.
"""

__version__ = "0.1.0"
