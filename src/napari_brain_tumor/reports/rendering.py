"""Templates filled in: pages in one file, whose look and parts are those of the report."""

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from jinja2 import Environment

_PACKAGE: Final = "napari_brain_tumor.reports"


def rendered(template: str, content: Mapping[str, Any], package: str = _PACKAGE) -> str:
    """A page from a template; all text in it is escaped.

    Parameters
    ----------
    template : str
        Its file in the folder `templates` of the package; it may use those of this one.
    content : mapping
        Every name that the template uses.
    package : str
        Whose template it is.
    """
    return _environment(package).get_template(template).render(content)


@cache
def _environment(package: str) -> "Environment":
    from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=ChoiceLoader([PackageLoader(name) for name in dict.fromkeys((package, _PACKAGE))]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
