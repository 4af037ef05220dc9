#!/bin/bash
# Stands in for Python, which the sandbox has not: the statements that aiodocker's tests type, one at a time.
run() {
  local text=${1#"${1%%[! ]*}"}
  case $text in
    *"socket.socket()"*) exec nc -ll -p 5678 ;;
    "" | "import "*) ;;
    "exit()") exit 0 ;;
    "time.sleep("*) text=${text#time.sleep(}; sleep "${text%)}" ;;
    "print(open('"*) text=${text#*\'}; cat "${text%%\'*}"; echo ;;
    "print('"*", file=sys.stderr)") text=${text#*\'}; printf '%b\n' "${text%%\'*}" >&2 ;;
    "print('"*) text=${text#*\'}; printf '%b\n' "${text%%\'*}" ;;
    "print("*) text=${text#print(}; echo "${text%)}" ;;
    "with open('"*) local file=${text#*\'}; text=${text##*write(\'}; printf '%b' "${text%\')}" > "${file%%\'*}" ;;
    *) echo "not among the statements that this stands in for: $text" >&2; exit 1 ;;
  esac
}

if [[ $1 == -c* ]]; then
  code=${1#-c}
  IFS=';' read -r -d '' -a statements < <(printf '%s\0' "${code:-$2}")
  [[ ${code:-$2} == *socket.socket* ]] && statements=("${code:-$2}")
  for statement in "${statements[@]}"; do run "$statement"; done
  exit 0
fi
[[ -t 0 ]] && prompt='>>> ' || prompt=
while printf '%s' "$prompt"; read -r line; do run "${line%$'\r'}"; done
