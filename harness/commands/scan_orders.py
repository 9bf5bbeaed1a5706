"""`scan-orders`: which order, for which architecture and task; one study and its page."""

from ._page_command import PageCommand

COMMAND = PageCommand(name="scan-orders")
add_arguments, main = COMMAND.add_arguments, COMMAND.main
