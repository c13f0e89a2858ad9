"""What is changed for a while is put back, also if Ctrl-C comes at the worst instant."""

from collections.abc import Callable
from typing import TypeVar

from torch import nn

T = TypeVar("T")


def run_and_put_back(run: Callable[[], T], put_back: Callable[[], None]) -> T:
    """What `run` returns. Afterwards, `put_back` is called twice, so that it reaches its end where Ctrl-C interrupts it once.

    A context manager would not do: an interrupt within its `__exit__` comes before what it puts back.

    Parameters
    ----------
    run
        Changes something, and returns a result. Every change is made within it.
    put_back
        Undoes the changes that have been made. Where there are none, it must change nothing, not even for an instant.
    """
    try:
        try:
            return run()
        finally:
            put_back()
    finally:
        put_back()


def attributes_as_now(model: nn.Module) -> Callable[[], None]:
    """A function that gives all modules of a model the attributes that they have now.

    That includes the contents of attributes that are dicts, sets or lists: hooks, weights, caches. Values of tensors are
    not noted.
    """
    noted = [(vars(module), dict(vars(module))) for module in model.modules()]
    values = [value for _, attributes in noted for value in attributes.values()]
    dicts = [(value, dict(value)) for value in values if isinstance(value, dict)]
    sets = [(value, set(value)) for value in values if isinstance(value, set)]
    lists = [(value, list(value)) for value in values if isinstance(value, list)]

    def put_back() -> None:
        for current, attributes in noted:
            for name in current.keys() - attributes.keys():
                del current[name]
            current.update(attributes)
        for table, content in dicts:
            if list(map(id, table)) != list(map(id, content)):  # their order counts, that of hooks for instance
                table.clear()
            table.update(content)
        for members, known in sets:
            members.intersection_update(known)
            members.update(known)
        for sequence, items in lists:
            sequence[:] = items

    return put_back
