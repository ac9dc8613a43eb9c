# Starts the program that links the crate, then those that the crate itself has, asking for help.
# Argument: the folder that install worked in.
cd "$1/target/debug" || exit 1
code=0
if [ -x ./program ]; then
	./program || code=$?
	echo "the program that links the crate: exit $code" >&2
fi
for file in *; do
	case $file in
	program | *.so | *.d | *.rlib) continue ;;
	esac
	[ -f "$file" ] && [ -x "$file" ] || continue
	"./$file" --help </dev/null
	# What a program answers to a word it may not know is no failure.
	echo "$file --help: exit $?" >&2
done
exit "$code"
