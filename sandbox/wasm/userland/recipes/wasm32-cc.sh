#!/bin/sh
# A C compiler for wasm32 on our kernel, as makefiles expect one. Wants CLANG, WASM_LD and SYSROOT (absolute paths).
# Link options that a WebAssembly linker lacks are dropped.
link=yes
for argument; do
  shift
  case "$argument" in
    -c | -S | -E | -M | -MM) link= ;;
    -dumpmachine) echo wasm32-unknown-linux-musl; exit 0 ;;
    -static | -s | -rdynamic | -pie | -fPIE | -pthread | -static-libgcc | -finline-limit=* | -falign-* | -march=*) continue ;;
    -Wl,--sort-* | -Wl,--warn-common | -Wl,-z,relro* | -Wl,-z,now | -Wl,-Map* | -Wl,--verbose | -Wl,--as-needed) continue ;;
    -Wl,--start-group | -Wl,--end-group | -Wl,-export-dynamic) continue ;;
  esac
  set -- "$@" "$argument"
done
set -- --target=wasm32-unknown-unknown -nostdinc -isystem "$SYSROOT/include" -w \
  -mbulk-memory -mexception-handling -mllvm -wasm-enable-sjlj -fno-strict-aliasing \
  -D__linux__=1 -D__linux=1 -Dlinux=1 -D__unix__=1 -D__unix=1 -D__gnu_linux__=1 "$@"
[ "$link" ] || exec "$CLANG" "$@"
# clang runs whatever wasm-opt it finds on the PATH, which would drop the names that the Asyncify pass needs.
PATH=/nonexistent exec "$CLANG" "$@" "-fuse-ld=$WASM_LD" -nostdlib "$SYSROOT/lib/crt1.o" "-L$SYSROOT/lib" \
  -lc -lclang_rt.builtins-wasm32 -Wl,-z,stack-size=1048576 -Wl,--stack-first -Wl,--export=__stack_pointer \
  -Wl,--export-memory
