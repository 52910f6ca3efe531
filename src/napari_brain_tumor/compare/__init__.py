"""Agreement and disagreement of several segmentations of a case, and their consensus."""

from napari_brain_tumor.compare.compare import compare_segmentations, compare_segmentations_job
from napari_brain_tumor.compare.consensus_methods import Consensus, RaterQuality, consensus, find_consensus
from napari_brain_tumor.compare.result import Agreement, PairScores
from napari_brain_tumor.compare.slices import SliceRow

__all__ = [
    "Agreement",
    "Consensus",
    "PairScores",
    "RaterQuality",
    "SliceRow",
    "compare_segmentations",
    "compare_segmentations_job",
    "consensus",
    "find_consensus",
]
