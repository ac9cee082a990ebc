import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { closeSync, mkdirSync, openSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import type { Writable } from 'node:stream'

/**
 * The shell that cleans up. Each line it reads tells the process group that works in the folder, or that none does.
 * Its standard input closes when this process ends, however it ends.
 */
const guard = `
group=
while read -r line; do group=$line; done
[ -z "$group" ] || kill -s KILL -- "-$group"
# A process that was killed a moment ago may still write.
for attempt in 1 2 3 4 5 6 7 8 9 10; do rm -rf "$1" && exit; sleep 0.3; done
`

/** A new folder and the programs that work in it, one at a time. None of them outlives this process. */
export class GuardedFolder {
  readonly path: string
  readonly #guard: ChildProcess
  readonly #orders: Writable
  #program: ChildProcess | undefined

  /** @param prefix - What the path begins with. */
  constructor(prefix: string) {
    this.path = prefix + randomBytes(6).toString('hex')
    // In process groups of their own: Ctrl-C must reach this process, not its servers and their guards.
    this.#guard = spawn('sh', ['-c', guard, 'guard', this.path], {
      detached: true,
      stdio: ['pipe', 'ignore', 'ignore'],
    })
    this.#orders = this.#guard.stdin as Writable
    // A guard that somebody ended is no reason to end as well.
    this.#orders.on('error', () => {})
    mkdirSync(this.path, { recursive: true, mode: 0o700 })
  }

  /** Starts a program. What it prints goes to the {@link log}. */
  start([program = '', ...options]: readonly string[], input = ''): void {
    const log = openSync(join(this.path, 'log'), 'a')
    const child = spawn(program, options, { cwd: this.path, detached: true, stdio: ['pipe', log, log] })
    closeSync(log)
    this.#program = child
    this.#orders.write(`${child.pid ?? ''}\n`)
    child.once('exit', () => this.#orders.write('\n'))
    // A program that does not start, or ends before it has read everything, is found out by its callers.
    child.on('error', () => {})
    child.stdin?.on('error', () => {})
    child.stdin?.end(input)
  }

  /** Runs a program to its end. */
  async run(command: readonly string[], input = ''): Promise<void> {
    this.start(command, input)
    const [code] = (await once(this.#program as ChildProcess, 'exit')) as [number | null]
    if (code !== 0) throw new Error(`${basename(command[0] ?? '')} ended with ${code}:\n${await this.log()}`)
  }

  /** Whether the program that was started last has not ended. */
  isRunning(): boolean {
    return this.#program !== undefined && this.#program.exitCode === null && this.#program.signalCode === null
  }

  /** Ends the program that was started last. */
  async end(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    if (!this.isRunning()) return
    const exit = once(this.#program as ChildProcess, 'exit')
    this.#program?.kill(signal)
    await exit
  }

  /** The last lines that the programs printed. */
  async log(): Promise<string> {
    const text = await readFile(join(this.path, 'log'), 'utf8')
    return text.trimEnd().split('\n').slice(-15).join('\n')
  }

  /** Ends the program at once and removes the folder. */
  async remove(): Promise<void> {
    await this.end('SIGKILL')
    if (this.#guard.exitCode !== null || this.#guard.signalCode !== null) return
    const exit = once(this.#guard, 'exit')
    this.#orders.end()
    await exit
  }
}
