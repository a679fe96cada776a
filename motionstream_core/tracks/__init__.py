"""Point trajectories: the Tracks type, and everything that reads, writes, re-samples and draws it."""

from __future__ import annotations

from .camera.depth import DepthMap
from .camera.moves import Move
from .camera.parse import CameraFile, parse_camera
from .camera.path import CameraPath
from .camera.seen import camera_grid, camera_tracks, seen_by_camera, without_objects
from .conventions import ORDERS, UNITS, require_inside
from .draw import contact_sheet, draw_tracks
from .drawn.document import Canvas, Document, DrawnTrack
from .drawn.files import read_file
from .drawn.parse import parse_document
from .emit import to_ati, to_coordinate_json
from .from_mask import at_rest, grid_in_mask, spread_in_mask, with_mask
from .grid import point_grid
from .npz import load_npz, save_npz
from .parse import Reading, parse_tracks, read_coordinates, read_points
from .retime import resample, retime
from .select import covered, drawn_by_lot, farthest, select, visible_share
from .smooth import smooth
from .tracks import NUM_IDS, TrackFormatError, Tracks, assign_ids, payload_size
from .transform import Placement, Span, middle_of, transform

__all__ = [
    "NUM_IDS",
    "ORDERS",
    "UNITS",
    "CameraFile",
    "CameraPath",
    "Canvas",
    "DepthMap",
    "Document",
    "DrawnTrack",
    "Move",
    "Placement",
    "Reading",
    "Span",
    "TrackFormatError",
    "Tracks",
    "assign_ids",
    "at_rest",
    "camera_grid",
    "camera_tracks",
    "contact_sheet",
    "covered",
    "draw_tracks",
    "drawn_by_lot",
    "farthest",
    "grid_in_mask",
    "load_npz",
    "middle_of",
    "parse_camera",
    "parse_document",
    "parse_tracks",
    "payload_size",
    "point_grid",
    "read_coordinates",
    "read_file",
    "read_points",
    "require_inside",
    "resample",
    "retime",
    "save_npz",
    "seen_by_camera",
    "select",
    "smooth",
    "spread_in_mask",
    "to_ati",
    "to_coordinate_json",
    "transform",
    "visible_share",
    "with_mask",
    "without_objects",
]
