"""Every answer of the Galaxy Zoo decision tree as a symbol.

The questions and answers are those of Galaxy Zoo 2 (Willett et al. 2013, MNRAS 435, 2835, table 2); the two
handed spirals are Galaxy Zoo 1's (Lintott et al. 2008, MNRAS 389, 1179).  An answer that only denies another
("not odd") shows nothing and has no symbol, unless a class needs it.

The nominal geometry is what the schematic pen draws: the idea of the class.  The `free` ranges are what
galaxies of the class look like, inclined, weak-armed and all; both pens draw variants from them, so they
stay inside the class: no round galaxy is as flat as an in-between one, no tight arm as open as a loose one.
"""

from dataclasses import replace

from galaxalign.symbols.geometry import Geometry, Symbol

Ranges = dict[str, tuple[float, float]]

# Seen from any side short of edge-on; a flatter disk would be called edge-on by the volunteers.
_INCLINED: Ranges = {"axis_ratio": (0.5, 1.0)}
_BULGED: Ranges = {"disk": (0.85, 1.0), "bulge": (0.03, 0.2), "bulge_radius": (0.1, 0.24)}
_ARMED: Ranges = _INCLINED | _BULGED | {"arm_width": (0.06, 0.15), "arm_strength": (0.35, 0.9)}
_ANY_ARMS: Ranges = {"arms": (2, 4)}
_ANY_PITCH: Ranges = {"pitch": (10.0, 34.0)}
_FAINT_ARMS: Ranges = {
    "arms": (2, 4),
    "pitch": (10.0, 30.0),
    "arm_width": (0.06, 0.12),
    "arm_strength": (0.2, 0.6),
}
# To tell the hand of a spiral its arms need not be strong.
_WEAK: Ranges = {"arm_strength": (0.2, 0.8)}
_MAYBE_BAR: Ranges = {"bar": (0.0, 0.4), "bar_width": (0.06, 0.1)}
_THIN: Ranges = {"axis_ratio": (0.08, 0.26)}
_CLUMPS: Ranges = {"axis_ratio": (0.45, 1.0), "arrangement": (0, 9999)}
_COMPANION: Ranges = {
    "axis_ratio": (0.4, 0.95),
    "disk": (0.0, 1.0),
    "disturbed": (0.0, 0.4),
    "companion": (0.2, 1.0),
    "companion_distance": (0.5, 1.2),
    "companion_angle": (0.0, 180.0),
}

# A disk with its bulge; a spiral that shines in its arms alone; a disk whose faint arms leave the eye to its
# bulge; a disk from the side.
_DISK = Geometry(disk=1.0, bulge=0.15, bulge_radius=0.14)
_SPIRAL = replace(_DISK, arms=2, pitch=18.0, arm_width=0.09, arm_strength=1.0)
_FAINT = replace(_SPIRAL, pitch=20.0, arm_width=0.07, arm_strength=0.35)
_EDGE = Geometry(edge_on=True, axis_ratio=0.09, disk=1.0)


def _symbol(name: str, title: str, answer: str, geometry: Geometry, free: Ranges, *, handed: bool = False) -> Symbol:
    return Symbol(name=name, title=title, answer=answer, geometry=geometry, free=free, handed=handed)


_SMOOTH_OR_FEATURES = (
    _symbol("smooth", "smooth", "smooth_or_features/smooth", Geometry(axis_ratio=0.8), {"axis_ratio": (0.3, 1.0)}),
    _symbol(
        "features_or_disk",
        "features or disk",
        "smooth_or_features/features_or_disk",
        replace(_SPIRAL, axis_ratio=0.55, arm_strength=0.6, ring=0.97),
        _ARMED | _ANY_PITCH | _ANY_ARMS | _MAYBE_BAR | {"ring": (0.0, 0.9)},
    ),
    _symbol("star", "star or artifact", "smooth_or_features/star_or_artifact", Geometry(spikes=4), {}),
    _symbol(
        "smooth_round",
        "completely round",
        "rounded/completely_round",
        Geometry(axis_ratio=1.0),
        {"axis_ratio": (0.87, 1.0)},
    ),
    _symbol(
        "smooth_in_between",
        "in between",
        "rounded/in_between",
        Geometry(axis_ratio=0.62),
        {"axis_ratio": (0.5, 0.77)},
    ),
    _symbol(
        "smooth_cigar",
        "cigar shaped",
        "rounded/cigar_shaped",
        Geometry(axis_ratio=0.25),
        {"axis_ratio": (0.2, 0.38)},
    ),
)

_EDGE_ON = (
    _symbol(
        "edge_on",
        "edge-on",
        "edgeon/yes",
        replace(_EDGE, axis_ratio=0.16, bulge=0.12, bulge_radius=0.2, dust=0.8),
        _THIN | {"bulge": (0.0, 0.35), "bulge_radius": (0.1, 0.25), "dust": (0.0, 0.8)},
    ),
    _symbol(
        "edge_round",
        "rounded bulge",
        "bulge_shape/rounded",
        replace(_EDGE, bulge=0.3, bulge_radius=0.24),
        _THIN | {"bulge": (0.2, 0.45), "bulge_radius": (0.16, 0.3), "dust": (0.0, 0.5)},
    ),
    _symbol(
        "edge_boxy",
        "boxy bulge",
        "bulge_shape/boxy",
        replace(_EDGE, bulge=0.35, bulge_radius=0.3, bulge_boxy=1.0),
        _THIN | {"bulge": (0.25, 0.45), "bulge_radius": (0.2, 0.32), "bulge_boxy": (0.6, 1.0)},
    ),
    _symbol("edge_none", "no bulge", "bulge_shape/no_bulge", _EDGE, _THIN | {"dust": (0.0, 0.4)}),
)

_DISK_FEATURES = (
    _symbol(
        "spiral_bar",
        "barred spiral",
        "bar/bar",
        replace(_SPIRAL, bar=0.45, bar_width=0.1),
        _ARMED | {"pitch": (10.0, 28.0), "bar": (0.3, 0.55), "bar_width": (0.07, 0.13)},
    ),
    _symbol(
        "disk_bar",
        "bar, no arms",
        "bar/bar",
        replace(_DISK, axis_ratio=0.65, bulge=0.08, bar=0.75, bar_width=0.1),
        _INCLINED | _BULGED | {"bar": (0.35, 0.65), "bar_width": (0.08, 0.14)},
    ),
    _symbol("disk_no_bar", "no bar", "bar/no_bar", replace(_FAINT, axis_ratio=0.65), _ARMED | _FAINT_ARMS),
    _symbol("spiral", "spiral", "spiral/spiral", replace(_SPIRAL, arm_strength=0.7), _ARMED | _ANY_ARMS | _ANY_PITCH),
    _symbol(
        "disk_no_spiral",
        "no spiral",
        "spiral/no_spiral",
        replace(_DISK, axis_ratio=0.65, bulge=0.3, bulge_radius=0.26),
        {"axis_ratio": (0.4, 1.0), "disk": (0.8, 1.0), "bulge": (0.1, 0.45), "bulge_radius": (0.15, 0.3)},
    ),
    _symbol(
        "bulge_none",
        "no bulge",
        "bulge_prominence/no_bulge",
        replace(_FAINT, bulge=0.0, bulge_radius=0.0),
        _INCLINED | _FAINT_ARMS,
    ),
    _symbol(
        "bulge_noticeable",
        "bulge just noticeable",
        "bulge_prominence/just_noticeable",
        replace(_FAINT, bulge=0.1, bulge_radius=0.14),
        _INCLINED | _FAINT_ARMS | {"bulge": (0.05, 0.15), "bulge_radius": (0.1, 0.16)},
    ),
    _symbol(
        "bulge_obvious",
        "bulge obvious",
        "bulge_prominence/obvious",
        replace(_FAINT, bulge=0.3, bulge_radius=0.28),
        _INCLINED | _FAINT_ARMS | {"bulge": (0.22, 0.38), "bulge_radius": (0.2, 0.3)},
    ),
    _symbol(
        "bulge_dominant",
        "bulge dominant",
        "bulge_prominence/dominant",
        replace(_FAINT, bulge=0.65, bulge_radius=0.5),
        _INCLINED | _FAINT_ARMS | {"bulge": (0.5, 0.75), "bulge_radius": (0.35, 0.5)},
    ),
)

_ODD = (
    _symbol(
        "odd",
        "anything odd",
        "odd/yes",
        Geometry(axis_ratio=0.75, tails=1, tail_length=2.2),
        {"axis_ratio": (0.5, 1.0), "tail_length": (0.8, 2.2), "disturbed": (0.1, 0.4)},
    ),
    _symbol(
        "ring",
        "ring",
        "odd_feature/ring",
        replace(_DISK, axis_ratio=0.45, arm_strength=1.0, ring=0.9, bulge_radius=0.2),
        {"axis_ratio": (0.35, 1.0), "arm_strength": (0.3, 0.8), "ring": (0.6, 0.9), "bulge": (0.15, 0.4)},
    ),
    _symbol(
        "arc",
        "lens or arc",
        "odd_feature/lens_or_arc",
        Geometry(arc=1.7),
        {"axis_ratio": (0.7, 1.0), "arc": (1.2, 2.2)},
    ),
    _symbol(
        "disturbed",
        "disturbed",
        "odd_feature/disturbed",
        Geometry(disk=0.5, axis_ratio=0.95, disturbed=0.6),
        {"axis_ratio": (0.4, 0.95), "disk": (0.5, 1.0), "disturbed": (0.25, 0.6)},
    ),
    _symbol(
        "irregular",
        "irregular",
        "odd_feature/irregular",
        Geometry(disk=1.0, axis_ratio=0.8, clumps=6, arrangement=1),
        _CLUMPS | {"clumps": (4, 9), "disturbed": (0.0, 0.3)},
    ),
    _symbol(
        "other",
        "other",
        "odd_feature/other",
        Geometry(disk=1.0, axis_ratio=0.8, clumps=3, arrangement=2, unsure=True),
        _CLUMPS | {"clumps": (2, 5)},
    ),
    _symbol(
        "merger",
        "merger",
        "odd_feature/merger",
        Geometry(axis_ratio=0.55, companion=0.8, companion_distance=1.3, companion_angle=50.0),
        _COMPANION,
    ),
    _symbol(
        "merger_tidal",
        "merger with tails",
        "odd_feature/merger",
        Geometry(companion=1.0, companion_distance=1.5, companion_angle=30.0, tails=2, tail_length=2.4),
        _COMPANION | {"tail_length": (0.9, 2.4)},
    ),
    _symbol(
        "dust_lane",
        "dust lane",
        "odd_feature/dust_lane",
        Geometry(axis_ratio=0.75, dust=1.0),
        {"axis_ratio": (0.35, 0.8), "disk": (0.0, 0.6), "dust": (0.5, 1.0)},
    ),
)

_ARMS = (
    _symbol(
        "spiral_tight",
        "arms tight",
        "arms_winding/tight",
        replace(_SPIRAL, pitch=11.0, arm_width=0.07),
        _ARMED | _ANY_ARMS | {"pitch": (8.0, 14.0)},
    ),
    _symbol(
        "spiral_medium",
        "arms medium",
        "arms_winding/medium",
        replace(_SPIRAL, pitch=19.0),
        _ARMED | _ANY_ARMS | {"pitch": (16.0, 23.0)},
    ),
    _symbol(
        "spiral_loose",
        "arms loose",
        "arms_winding/loose",
        replace(_SPIRAL, pitch=36.0, arm_width=0.11),
        _ARMED | _ANY_ARMS | {"pitch": (26.0, 38.0)},
    ),
    _symbol("arms_1", "1 arm", "arms_number/1", replace(_SPIRAL, arms=1, pitch=24.0), _ARMED | _ANY_PITCH),
    _symbol("arms_2", "2 arms", "arms_number/2", replace(_SPIRAL, arms=2, pitch=21.0), _ARMED | _ANY_PITCH),
    _symbol("arms_3", "3 arms", "arms_number/3", replace(_SPIRAL, arms=3, pitch=22.0), _ARMED | _ANY_PITCH),
    _symbol("arms_4", "4 arms", "arms_number/4", replace(_SPIRAL, arms=4, pitch=24.0), _ARMED | _ANY_PITCH),
    _symbol(
        "arms_many",
        "more than 4 arms",
        "arms_number/more_than_4",
        replace(_SPIRAL, arms=9, pitch=32.0, arm_width=0.07),
        _ARMED | {"arms": (5, 9), "pitch": (20.0, 36.0), "arm_width": (0.04, 0.08)},
    ),
    _symbol(
        "arms_cant_tell",
        "arms: can't tell",
        "arms_number/cant_tell",
        replace(_SPIRAL, arms=3, pitch=24.0, arm_width=0.2, arm_strength=0.2, unsure=True),
        _INCLINED | _BULGED | _FAINT_ARMS | {"arms": (2, 6), "arm_width": (0.14, 0.22)},
    ),
    _symbol(
        "spiral_clockwise",
        "clockwise spiral",
        "galaxy_zoo_1/clockwise_spiral",
        replace(_SPIRAL, pitch=20.0, hand=1),
        _ARMED | _ANY_ARMS | _ANY_PITCH | _MAYBE_BAR | _WEAK,
        handed=True,
    ),
    _symbol(
        "spiral_anticlockwise",
        "anticlockwise spiral",
        "galaxy_zoo_1/anticlockwise_spiral",
        replace(_SPIRAL, pitch=20.0, hand=-1),
        _ARMED | _ANY_ARMS | _ANY_PITCH | _MAYBE_BAR | _WEAK,
        handed=True,
    ),
)

SYMBOLS: dict[str, Symbol] = {
    symbol.name: symbol for symbol in (*_SMOOTH_OR_FEATURES, *_EDGE_ON, *_DISK_FEATURES, *_ODD, *_ARMS)
}


def mirror_symbol(name: str) -> str | None:
    """The symbol of a symbol's mirror images: itself but for handed ones, whose other hand may have none."""
    symbol = SYMBOLS[name]
    if not symbol.handed:
        return name
    other = replace(symbol.geometry, hand=-symbol.geometry.hand)
    found = (one.name for one in SYMBOLS.values() if one.handed and (one.geometry, one.free) == (other, symbol.free))
    return next(found, None)
