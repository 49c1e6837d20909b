"""Table of everything that can stand in a scene; a new kind is one function and one line here."""

from __future__ import annotations

from collections.abc import Callable

from sartm_core.synthetic import background, furniture, people, street, vehicles
from sartm_core.synthetic.canvas import Canvas
from sartm_core.synthetic.items import Item

Draw = Callable[[Canvas, Item, float], None]  # canvas, item, seconds since the start of the sequence

OBJECTS: dict[str, Draw] = {
    "car": vehicles.draw_car,
    "person": people.draw_person,
    "bike": people.draw_bike,
    "kerb": street.draw_kerb,
    "car_stop": street.draw_stop,
    "guardrail": street.draw_guardrail,
    "color_cone": street.draw_cone,
    "bump": street.draw_bump,
    "pole": furniture.draw_pole,
    "box": furniture.draw_box,
    "bush": furniture.draw_bush,
    "flat": furniture.draw_flat,
    "building": background.draw_building,
    "wall": background.draw_wall,
    "tree": background.draw_tree,
    "backdrop": background.draw_backdrop,
}
