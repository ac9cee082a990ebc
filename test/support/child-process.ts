import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

/** A process of its own, running a TypeScript module that sends what it has to say with `process.send`. */
export class Child<Message = unknown> {
  readonly process: ChildProcess
  readonly messages: Message[] = []

  /**
   * @param module - Relative to the `test` folder.
   * @param argument - Passed on as JSON; see {@link childArgument}.
   * @param environment - Added to this process's.
   */
  constructor(module: string, argument: unknown, environment: NodeJS.ProcessEnv = {}) {
    this.process = fork(fileURLToPath(new URL(`../${module}`, import.meta.url)), [JSON.stringify(argument)], {
      execArgv: ['--import', 'tsx'],
      env: { ...process.env, ...environment },
    })
    this.process.on('message', (message) => this.messages.push(message as Message))
  }

  /** Resolves when the process has said something that fits. */
  async until(fits: (message: Message) => boolean): Promise<Message> {
    for (;;) {
      const found = this.messages.find(fits)
      if (found !== undefined) return found
      if (this.process.exitCode !== null || this.process.signalCode !== null) {
        throw new Error(`the process ended with ${this.process.exitCode ?? this.process.signalCode}`)
      }
      const listening = new AbortController()
      const next = ['message', 'exit'].map((event) => once(this.process, event, { signal: listening.signal }))
      await Promise.race(next)
      listening.abort()
    }
  }

  /** Resolves with all messages when the process has ended well. */
  async end(): Promise<Message[]> {
    if (this.process.exitCode === null && this.process.signalCode === null) await once(this.process, 'exit')
    if (this.process.exitCode !== 0) {
      throw new Error(`the process ended with ${this.process.exitCode ?? this.process.signalCode}`)
    }
    return this.messages
  }

  /** Ends the process at once, without a chance to clean up. */
  async kill(): Promise<void> {
    if (this.process.exitCode !== null || this.process.signalCode !== null) return
    this.process.kill('SIGKILL')
    await once(this.process, 'exit')
  }
}

/** The argument this process was started with. */
export function childArgument<T>(): T {
  return JSON.parse(process.argv[2] ?? 'null') as T
}
