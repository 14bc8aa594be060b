
_toolgate_names() {
    local cur="${COMP_WORDS[COMP_CWORD]}" i said=() given=()
    for ((i = 1; i < COMP_CWORD; i++)); do
        case "${COMP_WORDS[i]}" in
            --data|--config) given+=("${COMP_WORDS[i]}" "${COMP_WORDS[i + 1]}"); ((i++)) ;;
            -*) ;;
            *) said+=("${COMP_WORDS[i]}") ;;
        esac
    done
    case "${said[*]}:${cur}" in
        *:-*) ;;
        "upstreams show:"*|"upstreams remove:"*|"upstreams enable:"*|"upstreams disable:"*|"upstreams test:"*|"doctor upstream:"*)
            COMPREPLY=( $(compgen -W "$("${COMP_WORDS[0]}" "${given[@]}" upstreams list --names 2>/dev/null)" -- "${cur}") )
            return 0
            ;;
    esac
    _toolgate "$@"
}

complete -F _toolgate_names -o bashdefault -o default toolgate
