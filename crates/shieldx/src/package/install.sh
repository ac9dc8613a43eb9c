# Builds a crate, and a program that links it. Arguments: the folder to work in, how the crate is
# given (file, folder, registry), the crate, options for cargo.
set -eu
folder=$1 kind=$2 crate=$3
shift 3
mkdir -p "$folder/program/src"
export CARGO_TARGET_DIR="$folder/target"

# A program that links the dependency that the first argument describes.
program() {
	dependency=$1
	shift
	printf '[package]\nname = "program"\nversion = "0.0.0"\nedition = "2021"\n' >"$folder/program/Cargo.toml"
	printf '[workspace]\n[dependencies]\nsubject = { %s }\n' "$dependency" >>"$folder/program/Cargo.toml"
	printf 'extern crate subject as _;\nfn main() {}\n' >"$folder/program/src/main.rs"
	cargo build --manifest-path "$folder/program/Cargo.toml" "$@"
}

if [ "$kind" = registry ]; then
	name=${crate%%@*}
	version='*'
	[ "$name" = "$crate" ] || version="=${crate#*@}"
	program "package = \"$name\", version = \"$version\"" "$@"
	exit
fi
source=$crate
if [ "$kind" = file ]; then
	source="$folder/source"
	mkdir "$source"
	tar -xzf "$crate" -C "$source" --strip-components=1
fi
facts=$(cargo metadata --no-deps --format-version 1 --offline --manifest-path "$source/Cargo.toml")
name=$(printf '%s' "$facts" | sed -n 's/^{"packages":\[{"name":"\([^"]*\)".*/\1/p')
if [ -z "$name" ]; then
	echo "a workspace: name one of its members" >&2
	exit 1
fi
case $facts in
*'"crate_types":["lib"'* | *'"crate_types":["rlib"'* | *'"crate_types":["proc-macro"'* | *'"lib"]'*)
	program "package = \"$name\", path = \"$source\"" "$@"
	;;
esac
case $facts in
*'"kind":["bin"]'*) cargo build --bins --manifest-path "$source/Cargo.toml" "$@" ;;
esac
