"""Self-contained pages rendered from templates, in the style of the report."""

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from jinja2 import Environment

_PACKAGE: Final = "napari_brain_tumor.reports"


def rendered(template: str, content: Mapping[str, Any], package: str = _PACKAGE) -> str:
    """Render a page from a template; all inserted text is escaped.

    Parameters
    ----------
    template : str
        File name in the package's `templates` folder; it may use the templates of this package.
    content : mapping
        Values for all names used in the template.
    package : str
        Package that contains the template.
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
