# Run by try-frozen.sh inside the bare system: argument NAME of the folder below /opt.
set -eu
cd /try
here=/opt/$1/stemsteer

step() { echo "-- $*" >&2; }
files() { find / -xdev \( -type f -o -type l \) ! -path '/try/*' ! -path "/opt/*" ! -path '/proc/*' | sort; }
files >/try/before
! command -v python3 >/dev/null || { echo "there is a Python here"; exit 1; }

step help, doctor, models
$here --help >/dev/null
$here doctor || true
$here models
step render, scan, live
$here render mix.flac --azimuth -30 --out stems
$here scan mix.flac --plot field.png
$here live --azimuth -30 --model panorama --input-file mix.flac --output-file live.wav
$here render mix.flac --targets missing.json --out other && exit 1
printf '[{"plugin": "Reverb", "parameters": {"room_size": 0.8}}]' >hall.json
$here render mix.flac --azimuth -30 --chain target=hall.json --model panorama --out wet
step catalogue
mkdir music
cp mix.flac music/
$here catalogue music --out catalogue --azimuth -30 --workers 1
cmp stems/target.flac catalogue/mix.flac/target.flac
step plugin
$here plugin install
cat ~/.config/stemsteer/autostart

# The song, six times, as raw floats.
$here render mix.flac --azimuth -30 --mode remove --format wav --subtype FLOAT --out float
for _ in 1 2 3 4 5 6; do tail -c 5000000 float/residual.wav; done >in.f32
# host OUT: all of it through the plugin, offline; the plugin starts the engine if none runs.
host() {
    ./host plugin="$HOME/.clap/Stemsteer.clap" id=stemsteer.stemsteer in=in.f32 out="$1" offline=1 \
        set=0:-30:0 set=1:25:0 >"$1.json"
    seen=$(sed -n 's/.*"outputs": \[\([^]]*\)\].*/\1/p' "$1.json" | cut -d , -f 12,13)
    [ "$seen" = " 1, 0" ] || { echo "connected, dropouts: $seen"; exit 1; }
}
step the plugin starts the engine
host first.f32
$here status
step an upgrade beside a running engine
cp -r "/opt/$1" /opt/newer
host second.f32 &
sleep 1
/opt/newer/stemsteer plugin install >/dev/null
wait $!
cmp first.f32 second.f32
grep newer ~/.config/stemsteer/autostart
step away with it
pid=$($here status --json | sed -n 's/.*"pid": \([0-9]*\).*/\1/p' | head -n 1)
kill "$pid"
sleep 2
/opt/newer/stemsteer plugin uninstall
files >/try/after
step what is left
diff /try/before /try/after
