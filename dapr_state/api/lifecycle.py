"""Whether the sidecar is ready, and the wish that it stop."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dapr_state import errors

if TYPE_CHECKING:
    from collections.abc import Callable

RUNTIME = "runtime"


class Lifecycle:
    """What is waited for is named in `pending`; the sidecar takes each away when it is there."""

    def __init__(self, app_id: str, stop: Callable[[], None], force_stop: Callable[[], None]) -> None:
        """`stop` asks for the clean end, `force_stop` for one at once; neither waits."""
        self._app_id = app_id
        self._stop = stop
        self._force_stop = force_stop
        self.pending: set[str] = {RUNTIME}
        self.is_outbound_ready = False  # components are open and the ports answer

    def __repr__(self) -> str:
        return f"<Lifecycle {'waiting for ' + ', '.join(sorted(self.pending)) if self.pending else 'ready'}>"

    def check_ready(self, app_id: str = "") -> None:
        """Raise unless all is ready, and this is the sidecar of `app_id`, if one is given."""
        if app_id and app_id != self._app_id:
            raise errors.OTHER_APP_ID()  # noqa: RSE102  a row is called to make its error
        if self.pending:
            raise errors.NOT_READY(targets=" ".join(sorted(self.pending)))

    def check_outbound_ready(self) -> None:
        """Raise unless calls of the application can be served; the application itself need not be there."""
        if not self.is_outbound_ready:
            raise errors.OUTBOUND_NOT_READY()  # noqa: RSE102  as above

    def shut_down(self, *, force: bool) -> None:
        if force:
            self._force_stop()
        else:
            self._stop()
