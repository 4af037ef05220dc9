docker create --name box -v vol:/vol sockerless/base sh -c 'cat /tmp/in/a /vol/b'
mkdir -p in/sub && echo one > in/a && echo two > in/sub/b && ln -s a in/link && chmod 750 in/sub && echo volume > b
docker cp in box:/tmp/
docker cp b box:/vol/b
docker cp b box:/vol/
docker start -a box
docker cp box:/tmp/in out && cat out/a out/sub/b && readlink out/link && stat -c %a out/sub
docker cp box:/tmp/in/. out2 && ls out2
docker cp box:/vol/b - | tar -tf -
docker cp box:/tmp/in/link - | tar --numeric-owner -tvf - | sed -E 's/[0-9]{4}-.*[0-9]{2}:[0-9]{2}/<date>/'
docker cp -L box:/tmp/in/link followed && cat followed
tar -C in -cf - . | docker cp - box:/tmp/streamed; tar -C in -cf - . | docker cp - box:/tmp
docker cp box:/tmp/a - | tar -xOf -
docker cp box:/nosuch .
docker cp b box:/nosuch/folder/ 2> said; echo $?; grep -v level=error said
docker cp b box:/nosuch/file 2> said; echo $?; grep -v level=error said
docker cp nosuchfile box:/tmp
docker cp b nosuch:/tmp 2> said; echo $?; grep -v level=error said
docker cp nosuch:/tmp .
docker cp in box:/etc/passwd 2> said; echo $?; grep -v level=error said
docker cp box:/etc/passwd in/sub/ && head -n 1 in/sub/passwd
docker rm -v box
docker run -d --name run sockerless/base sleep 1000
docker cp in run:/srv && docker exec run sh -c 'cat /srv/a && ls -l /srv/sub | wc -l'
docker exec run sh -c 'mkdir -p /made && seq 1 1000 > /made/f' && docker cp run:/made/f - | tar -xOf - | md5sum
head -c 3000000 /dev/zero > big && docker cp -q big run:/big && docker exec run wc -c /big
docker cp run:/big back && cmp big back
docker exec run sh -c 'ln -s /made /tmp/abs; ln -s ../../../../etc/passwd /tmp/up' && docker cp run:/tmp/abs/f - | tar -tf -
docker cp -L run:/tmp/up - | tar -tf -
docker cp -a b run:/owned && docker exec run stat -c '%u:%g %a' /owned
docker export run | tar -tf - | grep -c '^made/f$'
docker rm -f run
docker volume rm vol
