"""`architectures`: what every mixer here can do on the same tasks, and at what cost; one study and its page."""

from ._page_command import PageCommand

COMMAND = PageCommand(name="architectures")
add_arguments, main = COMMAND.add_arguments, COMMAND.main
