"""Repeat localiser against planning volume: how far the head has moved, and the voxel's new prescription."""

from scanner_agent.placement.check import check_placement
from scanner_agent.placement.figure import draw_placement
from scanner_agent.placement.series import read_images
from scanner_agent.placement.volumes import Images, Stack
from scanner_agent.placement.voxel import Voxel, voxel_of_file, voxel_of_header

__all__ = [
    "Images",
    "Stack",
    "Voxel",
    "check_placement",
    "draw_placement",
    "read_images",
    "voxel_of_file",
    "voxel_of_header",
]
