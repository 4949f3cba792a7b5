"""Who may own which field of a custom resource: its schema as a Shape for server-side apply."""

from __future__ import annotations

from typing import Any

from seamark.machinery.apply.shape import ANY, ANY_SHAPE, KEYED, LIST, MAP, SCALAR, SET, Shape, shape_of
from seamark.machinery.structural.schema import UNSET, Structural

_SCALARS = {"string": "string", "integer": "numeric", "number": "numeric", "boolean": "boolean"}


def resource_shape(schema: Structural) -> Shape:
    """The shape of a whole resource, or of an embedded one."""
    inner = {name: shape_of_schema(one) for name, one in schema.properties.items()}
    text = Shape(SCALAR, scalar="string")
    inner |= {"apiVersion": text, "kind": text, "metadata": shape_of("meta.v1.ObjectMeta")}
    return Shape.of_fields(inner, leaf=schema.map_type == "atomic", others=_others(schema))


def shape_of_schema(schema: Structural) -> Shape:
    if schema.embedded:
        return resource_shape(schema)
    if schema.int_or_string:
        return Shape(SCALAR, scalar="untyped")
    if schema.type in _SCALARS:
        return Shape(SCALAR, scalar=_SCALARS[schema.type])
    if schema.type == "array":
        return _of_list(schema)
    if schema.type != "object":
        return ANY_SHAPE
    leaf = schema.map_type == "atomic"
    if not schema.properties:
        return Shape(MAP, leaf=leaf, item=shape_of_schema(schema.others) if schema.others else ANY_SHAPE)
    inner = {name: shape_of_schema(one) for name, one in schema.properties.items()}
    return Shape.of_fields(inner, leaf=leaf, others=_others(schema))


def _others(schema: Structural) -> Shape | None:
    """What an undeclared member is; None where there is none."""
    return ANY_SHAPE if schema.preserve else None


def _of_list(schema: Structural) -> Shape:
    item = shape_of_schema(schema.items) if schema.items is not None else Shape(ANY)
    if schema.list_type == "map" and schema.items is not None:
        keys = tuple((name, _key_default(schema.items.properties.get(name))) for name in schema.list_keys)
        return Shape(KEYED, item=item, keys=keys)
    return Shape(SET if schema.list_type == "set" else LIST, item=item)


def _key_default(schema: Structural | None) -> Any:
    return None if schema is None or schema.default is UNSET else schema.default
