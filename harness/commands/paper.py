"""`paper`: the figures, tables and theorems of arXiv 2602.12499, run, judged and written up."""

from ._page_command import PageCommand

COMMAND = PageCommand(name="paper")
add_arguments, main = COMMAND.add_arguments, COMMAND.main
