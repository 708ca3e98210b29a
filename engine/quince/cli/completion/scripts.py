"""What a shell is told once: whom to ask, and what to do with the answer. In the place of typer's scripts."""

from __future__ import annotations

from typer import _completion_shared

BASH = """
%(complete_func)s() {
    local IFS=$'\\n'
    COMPREPLY=( $( _QUINCE_LINE="${COMP_LINE:0:$COMP_POINT}" \\
                   %(autocomplete_var)s=complete_bash "$1" 2>/dev/null ) )
    [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *[=/] ]] && compopt -o nospace
    return 0
}

complete -F %(complete_func)s %(prog_name)s
"""

ZSH = """
#compdef %(prog_name)s

%(complete_func)s() {
    local line
    local -a words_with words_without about_with about_without
    local -a lines
    lines=("${(@f)$(_QUINCE_LINE="${(j: :)words[1,CURRENT]}" \\
                    %(autocomplete_var)s=complete_zsh ${words[1]} 2>/dev/null)}")
    for line in $lines; do
        [[ -n $line ]] || continue
        if [[ ${line%%%%$'\\t'*} == *[=/] ]]; then
            words_without+=("${line%%%%$'\\t'*}"); about_without+=("${line/$'\\t'/  -- }")
        else
            words_with+=("${line%%%%$'\\t'*}"); about_with+=("${line/$'\\t'/  -- }")
        fi
    done
    (( $#words_with )) && compadd -l -d about_with -a words_with
    (( $#words_without )) && compadd -S '' -l -d about_without -a words_without
}

if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
    %(complete_func)s "$@"
else
    compdef %(complete_func)s %(prog_name)s
fi
"""

FISH = """
function %(complete_func)s
    _QUINCE_LINE=(commandline -cp) %(autocomplete_var)s=complete_fish %(prog_name)s 2>/dev/null
end

complete --no-files --command %(prog_name)s --arguments "(%(complete_func)s)"
"""


def install_scripts() -> None:
    """Have `--install-completion` and `--show-completion` give these."""
    _completion_shared._completion_scripts.update(bash=BASH, zsh=ZSH, fish=FISH)
