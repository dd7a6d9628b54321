"""Find out what the units of a layer respond to."""

from analysis.dissection.result import Dissection, LayerResult
from analysis.dissection.run import dissect, dissect_shard, finish
from analysis.dissection.settings import DissectionError, DissectionSettings
from analysis.dissection.shards import ShardResult, merge_shards, plan_shards
from analysis.errors import Cancelled

__all__ = [
    "Cancelled",
    "Dissection",
    "DissectionError",
    "DissectionSettings",
    "LayerResult",
    "ShardResult",
    "dissect",
    "dissect_shard",
    "finish",
    "merge_shards",
    "plan_shards",
]
