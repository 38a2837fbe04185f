"""Find the application, which contains the worker and is not part of the package.

The package never imports the application (docs/decisions/0049). Its folder is set in pytest's settings, and
the composition root is loaded from there when the first test installation starts.
"""

import sys
from collections.abc import Mapping
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any, Final, Protocol

from temporalio.client import Client
from temporalio.worker import Worker

from plangate.domain.errors import OperatorError
from plangate.domain.people.people import Directory
from plangate.domain.policies.policy import Policy
from plangate.records.database import Database
from plangate.settings import PROJECT, Settings
from plangate.tool import Tool

_ROOT: Final = "worker.py"
_FOLDERS: Final = ("workflows", "activities")
_MODULE: Final = "plangate_application"


class BuildWorker(Protocol):
    """The function of worker.py that builds a worker with the given adapters."""

    def __call__(
        self,
        client: Client,
        settings: Settings,
        *,
        database: Database,
        tools: Mapping[str, Tool],
        planner: Any,
        policy: Policy | None = None,
        directory: Directory | None = None,
    ) -> Worker:
        """Return the worker. ``Any`` is the planner's protocol, which the application defines."""


def load_application(folder: Path | None = None) -> BuildWorker:
    """Return `build_worker` of the application.

    Args:
        folder: the folder that contains its worker.py; by default the checkout that contains this package.

    Raises:
        OperatorError: worker.py does not exist, or cannot be imported; the message explains what to do.
    """
    place = (folder or PROJECT).resolve()
    if not (place / _ROOT).is_file():
        raise OperatorError(
            f"Plangate's worker was not found: {place / _ROOT} does not exist, and the package does not "
            "contain it. Clone Plangate's repository, and set its folder in pytest's settings: "
            "plangate_application = ../plangate"
        )
    found: BuildWorker = _root_module(place).build_worker
    return found


def _root_module(place: Path) -> ModuleType:
    """Import worker.py under a special name, because projects often have a module called worker."""
    known = sys.modules.get(_MODULE)
    if known is not None and known.__file__ == str(place / _ROOT):
        return known
    sys.path.insert(0, str(place))
    try:
        spec = spec_from_file_location(_MODULE, place / _ROOT)
        assert spec is not None
        assert spec.loader is not None
        module = module_from_spec(spec)
        spec.loader.exec_module(module)
    except ImportError as error:
        raise OperatorError(_not_importable(place, error)) from error
    finally:
        sys.path.remove(str(place))
    sys.modules[_MODULE] = module
    return module


def _not_importable(place: Path, error: ImportError) -> str:
    for name in _FOLDERS:
        module = sys.modules.get(name)
        path = next(iter(getattr(module, "__path__", ())), str(place / name)) if module else str(place / name)
        if Path(path).resolve() != place / name:
            return (
                f"Plangate's worker cannot be imported, because another package is called {name} ({path}); "
                "rename it, or keep these tests in a project without it."
            )
    if isinstance(error, ModuleNotFoundError) and (error.name or "").partition(".")[0] not in _FOLDERS:
        return (
            f"Plangate's worker needs {error.name}, which is not installed; "
            "run pip install 'plangate[testing]' and try again."
        )
    return (
        f"Plangate's worker in {place} cannot be imported ({error}); "
        "install the package in the version of this checkout."
    )
