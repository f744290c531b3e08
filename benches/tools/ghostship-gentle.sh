# ghostship that gives way to the application. See lib/tools.sh for what an adapter defines.
# shellcheck shell=bash

# shellcheck source-path=SCRIPTDIR source=ghostship.sh
. "$here/tools/ghostship.sh"

more_of_the_spec() { echo '  throttle: {maxSlowdown: "1.3"}'; }
