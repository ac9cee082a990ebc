import { setTimeout as sleep } from 'node:timers/promises'
import type { Misfortune } from './misfortune.js'
import { WorkerProcess } from './worker-process.js'
import type { Assignment, WorkerStatus } from './worker-protocol.js'

/** A killed worker, for the report. */
export interface Crash {
  readonly worker: number
  readonly pid: number | undefined
  /** What it had told last. */
  readonly after: WorkerStatus['step']
}

/** What all processes of all workers have counted. */
export type Counts = Omit<WorkerStatus, 'step' | 'held' | 'batchesLeft'>

/** How far the import is, as the database tells. */
export interface Progress {
  readonly rows: number
  /** The largest fencing token that has written to each shard. */
  readonly fences: ReadonlyMap<number, number>
}

// A worker that does not come to the ordered step is killed where it is.
const LONGEST_WAIT_FOR_STEP = 1_000
const LONGEST_SUSPENSION = 15_000
const MAXIMUM_FAILURES = 5

/** Keeps one process at work for every worker: when one is killed, the next one is started. */
export class Crew {
  readonly crashes: Crash[] = []
  /** Processes that gave up by themselves. None should. */
  readonly failures: string[] = []
  suspensions = 0
  readonly #assignments: readonly Assignment[]
  readonly #rows: number
  readonly #misfortunes: Misfortune[]
  readonly #processes: WorkerProcess[]
  readonly #finished: Promise<unknown>
  #isFinished = false
  #isEnding = false
  readonly #left: Counts[] = []

  constructor(assignments: readonly Assignment[], rows: number, misfortunes: readonly Misfortune[]) {
    this.#assignments = assignments
    this.#rows = rows
    this.#misfortunes = [...misfortunes]
    this.#processes = assignments.map((assignment) => new WorkerProcess(assignment))
    this.#finished = Promise.all(assignments.map((_, index) => this.#supervise(index))).then(() => {
      this.#isFinished = true
    })
  }

  /** The process that each worker has at the moment. */
  get processes(): readonly WorkerProcess[] {
    return this.#processes
  }

  get counts(): Counts {
    return [...this.#left, ...this.#processes.map(countsOf)].reduce(add)
  }

  /** Whether all workers have found nothing left to do. */
  get isFinished(): boolean {
    return this.#isFinished
  }

  /** Kills and suspends whoever it is time for, and lets go on whoever was suspended long enough. */
  visit({ rows, fences }: Progress): void {
    for (const process of this.#processes) {
      const { suspended } = process
      if (suspended === undefined) continue
      const wasOvertaken = suspended.held !== null && (fences.get(suspended.held.shard) ?? 0) > suspended.held.fence
      if (wasOvertaken || performance.now() - suspended.since > LONGEST_SUSPENSION) process.resume()
    }
    const [next] = this.#misfortunes
    if (next === undefined || rows / this.#rows < next.at) return
    const candidates = this.#processes.map(
      (_, index) => this.#processes[(index + next.worker) % this.#processes.length],
    )
    const victim = candidates.find((process) => process?.isAtWork)
    if (victim === undefined) return
    this.#misfortunes.shift()
    if (next.kind.name === 'suspend') {
      this.suspensions++
      victim.give({ signal: 'SIGSTOP', after: 'looked up' })
    } else if (next.kind.after === 'any moment') {
      victim.kill()
    } else {
      victim.give({ signal: 'SIGKILL', after: next.kind.after })
      void sleep(LONGEST_WAIT_FOR_STEP, undefined, { ref: false }).then(() => victim.kill())
    }
  }

  /** Ends all processes at once; none is started any more. */
  async stop(): Promise<void> {
    this.#isEnding = true
    for (const process of this.#processes) process.kill()
    await this.#finished
  }

  async #supervise(index: number): Promise<void> {
    for (;;) {
      const process = this.#processes[index] as WorkerProcess
      const end = await process.ended
      if (this.#isEnding || end === 0) return
      if (end === 'SIGKILL') {
        this.crashes.push({ worker: process.worker, pid: process.pid, after: process.status?.step ?? 'starting' })
      } else {
        this.failures.push(`worker ${process.worker} (process ${process.pid}) ended with ${end}`)
        if (this.failures.length === MAXIMUM_FAILURES) void this.stop()
      }
      this.#left.push(countsOf(process))
      if (this.#isEnding) return
      this.#processes[index] = new WorkerProcess(this.#assignments[index] as Assignment)
    }
  }
}

function countsOf({ status }: WorkerProcess): Counts {
  return {
    rowsApplied: status?.rowsApplied ?? 0,
    repeatedByRecord: status?.repeatedByRecord ?? 0,
    repeatedByTable: status?.repeatedByTable ?? 0,
    refused: status?.refused ?? 0,
    cacheHits: status?.cacheHits ?? 0,
    cacheMisses: status?.cacheMisses ?? 0,
  }
}

function add(a: Counts, b: Counts): Counts {
  return {
    rowsApplied: a.rowsApplied + b.rowsApplied,
    repeatedByRecord: a.repeatedByRecord + b.repeatedByRecord,
    repeatedByTable: a.repeatedByTable + b.repeatedByTable,
    refused: a.refused + b.refused,
    cacheHits: a.cacheHits + b.cacheHits,
    cacheMisses: a.cacheMisses + b.cacheMisses,
  }
}
