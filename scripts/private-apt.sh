# shellcheck shell=bash
# Debian packages by name, without touching the machine's own apt state. Sourced, not run.
#
# A private apt tree (lists, cache, sources, an empty dpkg status) under the cache folder, for any
# suites; only where the mirror is, and how to reach it, comes from the machine's configuration.
# Needs apt and the Debian archive keyring, as every Debian has; needs no root.
#
#   private_apt_init SUITE...          # sets up and refreshes a tree of those suites, of packages
#                                      # for PRIVATE_APT_ARCH (default: amd64)
#   private_apt_download DIR PKG...    # those packages alone
#   private_apt_closure DIR PKG...     # those packages and all they depend on, no recommendations
#   private_apt_newest PKG             # the newest version that the suites have

swat_cache_dir() {
  echo "${XDG_CACHE_HOME:-$HOME/.cache}/swatd"
}

# The mirrors of the machine's own Debian sources: "main" archive or "security".
private_apt_mirror() {
  local kind=$1 uri
  # shellcheck disable=SC2016 # apt's own fields
  uri=$(apt-get indextargets --format '$(CODENAME) $(RELEASE) $(REPO_URI)' |
    awk -v kind="$kind" '
      { security = ($2 ~ /-security$/) }
      (kind == "security") == security && !($2 ~ /backports|updates/) { print $3; exit }')
  if [ -z "$uri" ]; then
    echo "private-apt: no Debian source ($kind) in this machine's apt configuration" >&2
    return 1
  fi
  echo "$uri"
}

private_apt_init() {
  local suite mirror name
  local arch=${PRIVATE_APT_ARCH:-amd64}
  name=$(IFS=+ && echo "$*")
  [ "$arch" = amd64 ] || name=$arch+$name
  PRIVATE_APT_DIR=$(swat_cache_dir)/apt/$name
  PRIVATE_APT_CONF=$PRIVATE_APT_DIR/apt.conf
  mkdir -p "$PRIVATE_APT_DIR"/{lists/partial,cache/archives/partial,state}
  : >"$PRIVATE_APT_DIR/state/status"
  : >"$PRIVATE_APT_DIR/sources.list.new"
  for suite in "$@"; do
    case $suite in
      *-security) mirror=$(private_apt_mirror security) ;;
      *) mirror=$(private_apt_mirror main) ;;
    esac
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $suite main" \
      >>"$PRIVATE_APT_DIR/sources.list.new"
  done
  # Dir::Etc::parts stays the machine's: proxies and certificates are set there. The rest is ours.
  cat >"$PRIVATE_APT_CONF" <<CONF
Dir::Etc::sourcelist "$PRIVATE_APT_DIR/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
Dir::State::lists "$PRIVATE_APT_DIR/lists";
Dir::State::status "$PRIVATE_APT_DIR/state/status";
Dir::State::extended_states "$PRIVATE_APT_DIR/state/extended_states";
Dir::Cache "$PRIVATE_APT_DIR/cache";
APT::Architecture "$arch";
APT::Architectures { "$arch"; };
APT::Sandbox::User "";
Debug::NoLocking "true";
Acquire::Languages "none";
#clear APT::Update::Post-Invoke;
#clear DPkg::Post-Invoke;
CONF
  # Fresh for a day: a test run starts many of these.
  if ! cmp -s "$PRIVATE_APT_DIR/sources.list.new" "$PRIVATE_APT_DIR/sources.list" ||
    [ -z "$(find "$PRIVATE_APT_DIR/updated" -mmin -1440 2>/dev/null)" ]; then
    mv "$PRIVATE_APT_DIR/sources.list.new" "$PRIVATE_APT_DIR/sources.list"
    # A mirror in the middle of its own update has some indices wrong; the others may do.
    if private_apt apt-get -qq update >&2; then
      touch "$PRIVATE_APT_DIR/updated"
    else
      echo "private-apt: going on with the indices that could be fetched" >&2
    fi
  fi
}

private_apt() {
  APT_CONFIG=$PRIVATE_APT_CONF "$@"
}

# Not apt's candidate: backports never are.
private_apt_newest() {
  private_apt apt-cache madison "$1" | awk '{ print $3 }' | sort -V | tail -n 1
}

private_apt_download() {
  local into=$1
  shift
  mkdir -p "$into"
  (cd "$into" && private_apt apt-get -qq download "$@" >&2)
}

private_apt_closure() {
  local into=$1
  shift
  mkdir -p "$into/partial"
  private_apt apt-get -qq -y --no-install-recommends --download-only \
    -o Dir::Cache::archives="$into" install "$@" >&2
}
