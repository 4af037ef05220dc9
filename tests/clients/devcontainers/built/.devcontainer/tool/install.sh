#!/bin/sh
printf '#!/bin/sh\necho tool %s for %s\n' "$LOUD" "$_REMOTE_USER" > /usr/local/bin/tool
chmod +x /usr/local/bin/tool
