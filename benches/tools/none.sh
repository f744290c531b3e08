# No tool: three seconds in which nothing is migrated, as the control of a measurement.
# See lib/tools.sh for what an adapter defines.
# shellcheck shell=bash

tool_binary() { find_binary sleep '' coreutils; }

tool_version() { echo "nothing runs"; }

tool_command() { words "$1" 3; }
