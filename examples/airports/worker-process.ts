import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { Assignment, Order, WorkerStatus } from './worker-protocol.js'

/** A worker as its supervisor sees it. */
export class WorkerProcess {
  readonly worker: number
  /** What it told last. */
  status: WorkerStatus | undefined
  /** The lock it held when it was suspended. */
  suspended: { readonly since: number; readonly held: WorkerStatus['held'] } | undefined
  /** The signal that ended it, 0 when it ended well, or another exit code. */
  readonly ended: Promise<string | number>
  readonly #process: ChildProcess
  #order: Order | undefined

  constructor(assignment: Assignment) {
    this.worker = assignment.worker
    this.#process = fork(fileURLToPath(new URL('worker.ts', import.meta.url)), [JSON.stringify(assignment)], {
      execArgv: ['--import', 'tsx'],
    })
    this.#process.on('message', (message) => this.#hear(message as WorkerStatus))
    this.ended = once(this.#process, 'exit').then(([code, signal]) => (signal ?? code) as string | number)
  }

  get pid(): number | undefined {
    return this.#process.pid
  }

  /** Whether it is neither suspended nor about to be, and has a shard. */
  get isAtWork(): boolean {
    return this.#order === undefined && this.suspended === undefined && this.status?.held != null
  }

  /** Lets it be killed or suspended at its next step of that name. */
  give(order: Order): void {
    this.#order = order
    this.#process.send(order, () => {})
  }

  /** Ends it at once, without a chance to clean up. */
  kill(): void {
    this.#process.kill('SIGKILL')
  }

  /** Lets a suspended process go on. */
  resume(): void {
    this.suspended = undefined
    this.#order = undefined
    this.#process.kill('SIGCONT')
  }

  #hear(status: WorkerStatus): void {
    this.status = status
    if (this.#order?.signal === 'SIGSTOP' && this.#order.after === status.step) {
      this.suspended = { since: performance.now(), held: status.held }
    }
  }
}
