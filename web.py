"""Run the inbox: the pages and the HTTP API for approvers."""

import sys

from plangate.own_python import use_own_python

use_own_python()

from plangate.cli.app import main
from plangate.presentation.program_name import set_program
from plangate.process_end import end_process

if __name__ == "__main__":
    set_program("web.py")
    sys.argv[1:1] = ["serve"]
    end_process(main())
