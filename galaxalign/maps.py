"""YAML in whose maps no key stands twice: of two the first would be forgotten without a word."""

from typing import Any

import yaml


class OnceLoader(yaml.SafeLoader):
    """Reads YAML, and complains of a key that stands twice in a map as of other mistakes."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """The map that a node describes."""
        seen = set()
        for key, _ in node.value:
            # Of lists and maps as keys YAML itself complains.
            if not isinstance(key, yaml.ScalarNode):
                continue
            if key.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key.value!r} stands twice: join what is under both", key.start_mark
                )
            seen.add(key.value)
        return super().construct_mapping(node, deep)
