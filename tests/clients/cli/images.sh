docker images --format '{{.Repository}}:{{.Tag}}' | grep sockerless/base
docker tag sockerless/base test/copy:1
docker images test/copy
docker images --format '{{.Repository}}:{{.Tag}}' --filter reference='test/*'
docker images -q test/copy:1 | wc -l
docker tag test/copy:1 test/copy
docker images --format '{{.Repository}}:{{.Tag}}' test/copy | sort
docker rmi test/copy
docker rmi test/copy:1
docker rmi test/copy:1
docker tag nosuch test/x
docker tag sockerless/base BAD/Name
docker image inspect -f '{{json .Config.Cmd}} {{.Os}} {{.Architecture}} {{.RootFS.Type}} {{len .RootFS.Layers}}' sockerless/base
docker image inspect nosuch
docker history --format '{{.Comment}}' nosuch
docker save nosuch
docker save sockerless/base | tar -xOf - manifest.json | grep -o '"RepoTags":[^]]*]'
docker tag sockerless/base test/saved:1 && docker save -o saved.tar test/saved:1 && docker rmi test/saved:1 && docker load -i saved.tar && docker rmi test/saved:1
docker load -q < saved.tar && docker run --rm test/saved:1 echo runs
docker create --name user test/saved:1 true && docker rmi test/saved:1; docker rm user
echo garbage | docker load
head -c 100000 saved.tar | docker load
mkdir -p root && echo imported > root/file && tar -C root -cf - . | docker import -c 'CMD ["x"]' - test/imported:1 | cut -c1-7
docker image inspect -f '{{json .Config.Cmd}}' test/imported:1
docker create --name holds test/imported:1 && docker cp holds:/file - | tar -xOf -
docker rmi test/imported:1
docker rmi -f test/imported:1; docker rm holds
# A web server for one request; no line here may name its port.
tar -C root -cf root.tar . && mkfifo port && echo "from http.server import *; import sys; s = HTTPServer(('127.0.0.1', 0), SimpleHTTPRequestHandler); s.timeout = 20; print(s.server_port, flush=True); sys.stdout.close(); s.handle_request()" > once.py
python3 once.py > port 2> /dev/null & read p < port; docker import -m far http://127.0.0.1:$p/root.tar test/far:1 | sed "s/:$p//; s/sha256:.*/an id/"; wait
docker history --format '{{.Comment}}' test/far:1; docker rmi test/far:1 | head -n 1
python3 once.py > port 2> /dev/null & read p < port; docker import http://127.0.0.1:$p/nosuch.tar test/far:1 2>&1 | sed "s/:$p//"; wait
docker import http://127.0.0.1:1/root.tar test/far:1
docker images --filter dangling=true -q | wc -l
docker image prune -f | tail -n 1 | sed 's/:.*//'
docker images --filter nonsense=1
docker pull nosuch.invalid/x:1 2>&1 | head -n 1 | cut -c1-40
docker pull 'Bad:Ref:x'
