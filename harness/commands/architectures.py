"""`architectures`: what every mixer here can do on the same tasks, and at what cost; one study and its page."""

from harness.page_command import PageCommand

COMMAND = PageCommand(
    name="architectures", full="equal parameters, equal state, three times the steps, harder recall, other widths"
)
add_arguments, main = COMMAND.add_arguments, COMMAND.main
