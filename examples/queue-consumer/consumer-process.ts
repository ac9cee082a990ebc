import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { Outcome, Place, Report, Task } from './consumer-protocol.js'

/** A consumer as the process sees it that hands out the messages. */
export class ConsumerProcess {
  /** What became of its deliveries. */
  readonly outcomes: Record<Outcome, number> = { shipped: 0, known: 0, left: 0 }
  received = 0
  /** The signal that ended it, 0 when it ended well, another exit code, or `undefined` while it runs. */
  end: string | number | undefined
  /** What it is at. */
  task: Task | undefined
  readonly #process: ChildProcess
  readonly #ended: Promise<void>
  #isListening = false

  /** @param onReport - Called for each delivery that it has dealt with. */
  constructor(databaseUrl: string, onReport: (task: Task, outcome: Outcome) => void) {
    this.#process = fork(fileURLToPath(new URL('consumer.ts', import.meta.url)), [databaseUrl], {
      execArgv: ['--import', 'tsx'],
    })
    this.#process.on('message', (report: Report) => {
      const { task } = this
      this.#isListening = true
      this.task = undefined
      if (report === 'listening' || task === undefined) return
      this.outcomes[report.outcome]++
      onReport(task, report.outcome)
    })
    this.#ended = once(this.#process, 'exit').then(([code, signal]) => {
      this.end = (signal ?? code) as string | number
    })
  }

  get pid(): number | undefined {
    return this.#process.pid
  }

  get isIdle(): boolean {
    return this.#isListening && this.task === undefined && this.end === undefined
  }

  /** Where it was killed. */
  get diedAfter(): Place | undefined {
    return this.end === 'SIGKILL' ? this.task?.dieAfter : undefined
  }

  give(task: Task): void {
    this.task = task
    this.received++
    this.#process.send(task, () => {})
  }

  /** Lets it end, and waits until it has. */
  async stop(): Promise<void> {
    if (this.#process.connected) this.#process.disconnect()
    await this.#ended
  }
}
