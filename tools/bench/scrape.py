"""The operator's own metrics, read at two moments and compared."""

from __future__ import annotations

from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

Series = tuple[str, frozenset[tuple[str, str]]]
"""A sample's name and its labels."""


@dataclass(frozen=True, slots=True)
class Scrape:
    """Every sample of one scrape."""

    samples: dict[Series, float]

    @classmethod
    def parse(cls, text: str) -> Scrape:
        """Read Prometheus' text format."""
        return cls(
            {
                (sample.name, frozenset(sample.labels.items())): sample.value
                for family in text_string_to_metric_families(text)
                for sample in family.samples
            }
        )

    def value(self, name: str, **labels: str) -> float:
        """Return the sum of the samples of this name that have these labels, among others."""
        wanted = set(labels.items())
        return sum(value for (known, has), value in self.samples.items() if known == name and wanted <= has)

    def mean_since(self, before: Scrape, histogram: str, **labels: str) -> float | None:
        """Return the mean of what a histogram was shown since ``before``, or None where that was nothing."""
        count = self.value(f"{histogram}_count", **labels) - before.value(f"{histogram}_count", **labels)
        total = self.value(f"{histogram}_sum", **labels) - before.value(f"{histogram}_sum", **labels)
        return total / count if count else None
