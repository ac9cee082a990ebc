import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface, type Interface } from 'node:readline'

/**
 * The shell that runs the server. It ends the server and removes its folder when its standard input closes, which
 * the system does for it when this process ends, however it ends.
 */
const guard = `
folder=$1; log=$2; shift 2
while read -r order argument; do
  case $order in
    start) "$@" </dev/null >>"$log" 2>&1 & server=$!; echo "started $server";;
    end) kill -s "$argument" "$server"; wait "$server" 2>/dev/null; echo ended;;
  esac
done
kill -s KILL "$server" 2>/dev/null; wait "$server" 2>/dev/null
rm -rf "$folder"
`

/** A server process that does not outlive this one. */
export class GuardedProcess {
  readonly #guard: ChildProcess
  readonly #answers: Interface
  #process: number | undefined

  /**
   * @param folder - Removed in the end.
   * @param log - Gets what the server prints.
   */
  constructor(folder: string, log: string, command: readonly string[]) {
    // In a process group of its own: Ctrl-C must reach this process, not its servers.
    this.#guard = spawn('sh', ['-c', guard, 'guard', folder, log, ...command], {
      detached: true,
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    this.#answers = createInterface({ input: this.#guard.stdout as NodeJS.ReadableStream })
  }

  async start(): Promise<void> {
    const answer = await this.#order('start')
    this.#process = Number(answer.split(' ')[1])
  }

  /** Resolves when the server has ended. */
  async end(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    await this.#order(`end ${signal.slice('SIG'.length)}`)
  }

  /** Whether the server has not ended by itself. */
  isAlive(): boolean {
    try {
      return this.#process !== undefined && process.kill(this.#process, 0)
    } catch {
      return false
    }
  }

  /** Ends server and guard; the folder is gone afterwards. */
  async close(): Promise<void> {
    if (this.#guard.exitCode !== null) return
    const exit = once(this.#guard, 'exit')
    this.#guard.stdin?.end()
    await exit
  }

  async #order(order: string): Promise<string> {
    const answer = once(this.#answers, 'line')
    this.#guard.stdin?.write(`${order}\n`)
    const [line] = (await answer) as [string]
    return line
  }
}
