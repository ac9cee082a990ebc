import { setTimeout as sleep } from 'node:timers/promises'
import { shuffle } from 'd3-array'
import { type Work, WrongAnswer } from './contenders/contender.js'
import { commandsSent } from './round-trips.js'

/** What happened in one slice of time that belonged to one contender. */
export interface Slice {
  readonly seconds: number
  readonly succeeded: number
  /** Runs that threw. */
  readonly errors: number
  /** Runs that gave a wrong answer, or left something wrong behind. */
  readonly wrong: number
  /** Of this process, in microseconds. */
  readonly cpu: number
  readonly roundTrips: number
  /** Of one of the errors. */
  readonly message?: string
}

/** Something to measure: a contender's work. */
export interface Entrant<Name> {
  readonly name: Name
  readonly work: Work
}

/** How long and how often to measure. */
export interface Effort {
  readonly rounds: number
  /** Milliseconds that a slice should last. */
  readonly slice: number
}

// A slice that takes longer than planned by this factor is cut short.
const PATIENCE = 5

// Runs that have not ended this many milliseconds after their slice never will.
const LONGEST_RUN = 15_000

/**
 * Measures entrants against each other: in each round every one gets a slice, in an order drawn anew. What disturbs the
 * machine for a while disturbs all of them, and slices of one round can be compared with each other.
 */
export async function measureInRounds<Name>(
  entrants: readonly Entrant<Name>[],
  callers: number,
  effort: Effort,
): Promise<Map<Name, Slice[]>> {
  const tracks = []
  for (const { name, work } of entrants)
    tracks.push({ name, slices: [] as Slice[], track: await warmUp(work, callers, effort) })
  for (let round = 0; round < effort.rounds; round++) {
    for (const { slices, track } of shuffle([...tracks])) slices.push(await track.run())
  }
  return new Map(tracks.map(({ name, slices }) => [name, slices]))
}

interface Track {
  run(): Promise<Slice>
}

/** Fills pools, caches of statements and the compiler's, and finds out how many runs make a slice. */
async function warmUp(work: Work, callers: number, { slice }: Effort): Promise<Track> {
  const limit = work.limit ?? Number.POSITIVE_INFINITY
  let turn = 0
  const run = async (count: number) => {
    const first = turn
    turn += count
    return runSlice(work, first, count, callers, slice * PATIENCE)
  }
  let count = Math.min(limit, callers * 4 + 20)
  for (let repetition = 0; repetition < 2; repetition++) {
    const { succeeded, errors, wrong, seconds } = await run(count)
    const rate = (succeeded + errors + wrong) / seconds
    count = Math.max(callers, Math.min(limit, Math.ceil((rate * slice) / 1000)))
  }
  return { run: () => run(count) }
}

async function runSlice(work: Work, first: number, count: number, callers: number, patience: number): Promise<Slice> {
  await work.prepare?.(first, count)
  let turn = first
  let succeeded = 0
  let errors = 0
  let wrong = 0
  let running = callers
  let late = false
  let message: string | undefined
  const end = first + count
  const deadline = performance.now() + patience
  const caller = async () => {
    while (turn < end && performance.now() < deadline) {
      try {
        await work.run(turn++)
        if (late) return
        succeeded++
      } catch (error) {
        if (late) return
        if (error instanceof WrongAnswer) wrong++
        else errors++
        message ??= messageOf(error)
      }
    }
  }
  const roundTrips = commandsSent()
  const cpu = process.cpuUsage()
  const begin = performance.now()
  const all = Array.from({ length: callers }, () => caller().finally(() => running--))
  const timer = new AbortController()
  const tooLate = sleep(patience + LONGEST_RUN, undefined, { signal: timer.signal })
  await Promise.race([Promise.all(all), tooLate]).finally(() => timer.abort())
  late = running > 0
  if (late) message ??= `no answer within ${LONGEST_RUN} ms`
  errors += running
  const seconds = (performance.now() - begin) / 1000
  const used = process.cpuUsage(cpu)
  const slice = { seconds, errors, cpu: used.user + used.system, roundTrips: commandsSent() - roundTrips }
  const unnoticed = (await work.audit?.(succeeded)) ?? 0
  return {
    ...slice,
    succeeded: succeeded - unnoticed,
    wrong: wrong + unnoticed,
    ...(message !== undefined && { message }),
  }
}

function messageOf(error: unknown): string {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error
  return cause instanceof Error ? cause.message : String(cause)
}
