# Sourced by the scripts in this folder. The temporal program (gRPC in Go) hangs on names that Docker's DNS resolves,
# but not on addresses.

numeric_address() { # ADDRESS, with a port or without; prints IP:PORT, or an error
  case $1 in
    \[*\]:*) host=${1#\[} host=${host%%\]*} port=${1##*:} ;;
    \[*\]) host=${1#\[} host=${host%\]} port= ;;
    *:*:*) host=$1 port= ;; # IPv6 without brackets has no port
    *:*) host=${1%:*} port=${1##*:} ;;
    *) host=$1 port= ;;
  esac
  case $host in
    *:*) ip=$host ;;
    *[!0-9.]*) # a name; IPv4 is preferred, because few servers listen on ::1
      found=$(getent ahostsv4 "$host" 2>/dev/null || getent hosts "$host") || found=
      ip=${found%%[[:space:]]*}
      ;;
    *) ip=$host ;;
  esac
  if [ -z "$ip" ]; then
    echo "TEMPORAL_ADDRESS is $1, which does not resolve to an address; set it to HOST:PORT." >&2
    return 1
  fi
  case $ip in *:*) ip="[$ip]" ;; esac
  echo "$ip:${port:-7233}"
}
