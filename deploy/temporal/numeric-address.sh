# Sourced by the scripts beside it. The temporal program (gRPC in Go) hangs at names that Docker's DNS resolves;
# at addresses it does not.

numeric_address() { # ADDRESS, with a port or without; prints IP:PORT, or says why not
  case $1 in
    \[*\]:*) host=${1#\[} host=${host%%\]*} port=${1##*:} ;;
    \[*\]) host=${1#\[} host=${host%\]} port= ;;
    *:*:*) host=$1 port= ;; # IPv6 without brackets has no port
    *:*) host=${1%:*} port=${1##*:} ;;
    *) host=$1 port= ;;
  esac
  case $host in
    *:*) ip=$host ;;
    *[!0-9.]*) # a name; by IPv4 where it has both, for servers seldom listen on ::1
      found=$(getent ahostsv4 "$host" 2>/dev/null || getent hosts "$host") || found=
      ip=${found%%[[:space:]]*}
      ;;
    *) ip=$host ;;
  esac
  if [ -z "$ip" ]; then
    echo "TEMPORAL_ADDRESS is $1, and no address is known for that name; set it to HOST:PORT." >&2
    return 1
  fi
  case $ip in *:*) ip="[$ip]" ;; esac
  echo "$ip:${port:-7233}"
}
