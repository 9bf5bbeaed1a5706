"""`scan-orders`: which scan order, for which architecture and task; one study and its page."""

from harness.page_command import PageCommand

COMMAND = PageCommand(
    name="scan-orders", full="every order and task, more architectures, readout=last, three difficulties"
)
add_arguments, main = COMMAND.add_arguments, COMMAND.main
