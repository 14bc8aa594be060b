complete -c toolgate -n "__fish_toolgate_using_subcommand upstreams; and __fish_seen_subcommand_from show remove enable disable test" -f -a "(toolgate upstreams list --names 2>/dev/null)"
complete -c toolgate -n "__fish_toolgate_using_subcommand doctor; and __fish_seen_subcommand_from upstream" -f -a "(toolgate upstreams list --names 2>/dev/null)"
