import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'

/**
 * The shell that runs the server. It ends the server and removes its folder when its standard input closes, which
 * the system does for it when this process ends, however it ends.
 */
const guard = `
folder=$1; template=$2; server=; shift 2
umask 077
# Nobody reads the answers any more when it is time to clean up.
trap '' PIPE
mkdir -p "$folder/tmp" && cp -R "$template" "$folder/data" && echo ready || exec rm -rf "$folder"
while read -r order argument; do
  case $order in
    start) "$@" </dev/null >>"$folder/log" 2>&1 & server=$!; echo started;;
    # Without jobs, a server that has ended still counts as a process.
    ask) jobs >/dev/null; kill -0 "$server" 2>/dev/null && echo alive || echo ended;;
    end) kill -s "$argument" "$server" 2>/dev/null; wait "$server" 2>/dev/null; echo ended;;
  esac
done
[ -z "$server" ] || kill -s KILL "$server" 2>/dev/null; wait
rm -rf "$folder"
`

/** A server process that does not outlive this one. */
export class GuardedProcess {
  readonly #guard: ChildProcessByStdio<Writable, Readable, null>
  readonly #answers: AsyncIterator<string>
  readonly #ready: Promise<string>

  /**
   * @param folder - Made for the server, and removed in the end. What it prints goes to `log` in there.
   * @param template - Copied to `data` in the folder.
   */
  constructor(folder: string, template: string, command: readonly string[]) {
    // In a process group of its own: Ctrl-C must reach this process, not its servers.
    this.#guard = spawn('sh', ['-c', guard, 'guard', folder, template, ...command], {
      detached: true,
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    // That the guard is gone is told by the answer that does not come.
    this.#guard.stdin.on('error', () => {})
    this.#answers = createInterface({ input: this.#guard.stdout })[Symbol.asyncIterator]()
    this.#ready = this.#answer()
    this.#ready.catch(() => {})
  }

  async start(): Promise<void> {
    await this.#ready
    await this.#order('start')
  }

  /** Resolves when the server has ended. */
  async end(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    await this.#order(`end ${signal.slice('SIG'.length)}`)
  }

  /** Whether the server has not ended by itself. */
  async isAlive(): Promise<boolean> {
    return (await this.#order('ask')) === 'alive'
  }

  /** Ends server and guard; the folder is gone afterwards. */
  async close(): Promise<void> {
    if (this.#guard.exitCode !== null || this.#guard.signalCode !== null) return
    const exit = once(this.#guard, 'exit')
    this.#guard.stdin.end()
    await exit
  }

  async #order(order: string): Promise<string> {
    this.#guard.stdin.write(`${order}\n`)
    return this.#answer()
  }

  async #answer(): Promise<string> {
    const { value, done } = await this.#answers.next()
    if (done) throw new Error('the process that guards a server has ended')
    return value
  }
}
