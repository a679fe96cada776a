"""Point trajectories: the Tracks type, and everything that reads, writes, re-samples and draws it."""

from __future__ import annotations

from .document import Canvas, Document, DrawnTrack
from .document_parse import parse_document
from .draw import contact_sheet, draw_tracks
from .emit import to_ati, to_coordinate_json
from .grid import point_grid
from .npz import load_npz, save_npz
from .parse import ATI_NUM_SAMPLES, parse_ati, parse_tracks
from .resample import resample
from .tracks import NUM_IDS, TrackFormatError, Tracks, assign_ids

__all__ = [
    "ATI_NUM_SAMPLES",
    "NUM_IDS",
    "Canvas",
    "Document",
    "DrawnTrack",
    "TrackFormatError",
    "Tracks",
    "assign_ids",
    "contact_sheet",
    "draw_tracks",
    "load_npz",
    "parse_ati",
    "parse_document",
    "parse_tracks",
    "point_grid",
    "resample",
    "save_npz",
    "to_ati",
    "to_coordinate_json",
]
