
_toolgate_upstreams() {
    local -a names
    names=(${(f)"$(toolgate upstreams list --names 2>/dev/null)"})
    compadd -a names
}
