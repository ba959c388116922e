#!/bin/sh
. "$1"
echo "{\"changed\": false, \"said\": \"$word\"}"
