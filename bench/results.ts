import { readFile, writeFile } from 'node:fs/promises'
import { max, median, min, sum } from 'd3-array'
import type { ContenderName } from './contenders/contender.js'
import type { Slice } from './measure.js'
import type { OperationName } from './operations.js'

/** All that a run of the bench found out. */
export interface Results {
  readonly date: string
  readonly machine: Machine
  readonly rounds: number
  /** Milliseconds. */
  readonly slice: number
  readonly servers: readonly MeasuredServer[]
  readonly measurements: readonly Measurement[]
  readonly growth: readonly Growth[]
}

export interface Machine {
  readonly processor: string
  readonly cores: number
  /** In gigabytes. */
  readonly memory: number
  readonly platform: string
  readonly node: string
}

export interface MeasuredServer {
  readonly name: string
  readonly version: string
  /** What decides how much a write waits for the disk. */
  readonly settings: Readonly<Record<string, string | number>>
}

/** One operation of one contender on one server. */
export interface Measurement {
  readonly server: string
  readonly operation: OperationName
  readonly callers: number
  readonly contender: ContenderName
  /** Operations per second. */
  readonly throughput: Spread
  /** Throughput divided by the floor's in the same round. Absent for the floor, and where there is none. */
  readonly ratio?: Spread
  /** Of the client, in microseconds per operation. */
  readonly cpu: number
  /** Per operation. */
  readonly roundTrips: number
  /** Of 1,000 operations. */
  readonly errors: number
  /** Of 1,000 operations, those with a wrong answer or a wrong outcome. */
  readonly wrong: number
  /** Of one of the errors. */
  readonly message?: string
}

/** The median of all rounds, and the extremes. */
export interface Spread {
  readonly median: number
  readonly least: number
  readonly most: number
}

/** An operation's throughput on a table of some size. */
export interface Growth {
  readonly server: string
  readonly operation: OperationName
  readonly rows: number
  readonly throughput: Spread
}

const file = (name: string) => new URL(name, import.meta.url)

/** The results of the latest full run. */
export async function readResults(): Promise<Results> {
  return JSON.parse(await readFile(file('results.json'), 'utf8')) as Results
}

/** Writes them with a line for each measurement. */
export async function writeResults({ measurements, ...others }: Results): Promise<void> {
  const head = JSON.stringify({ ...others, measurements: [] }, undefined, 2)
  const lines = measurements.map((measurement) => `    ${JSON.stringify(measurement)}`)
  await writeFile(file('results.json'), `${head.replace(/\[\]\s*\}$/, () => `[\n${lines.join(',\n')}\n  ]\n}`)}\n`)
}

/** Sums the slices of one contender up, beside those of the floor in the same rounds. */
export function summarise(
  about: Pick<Measurement, 'server' | 'operation' | 'callers' | 'contender'>,
  slices: readonly Slice[],
  floor: readonly Slice[] | undefined,
): Measurement {
  const succeeded = sum(slices, (slice) => slice.succeeded)
  const errors = sum(slices, (slice) => slice.errors)
  const wrong = sum(slices, (slice) => slice.wrong)
  const all = succeeded + errors + wrong
  const ratios = floor?.map((slice, round) => throughputOf(slices[round] as Slice) / throughputOf(slice))
  const message = slices.find((slice) => slice.message !== undefined)?.message
  return {
    ...about,
    throughput: spreadOf(slices.map(throughputOf), 0),
    ...(ratios !== undefined && { ratio: spreadOf(ratios, 2) }),
    cpu: round(sum(slices, ({ cpu }) => cpu) / all, 0),
    roundTrips: round(sum(slices, ({ roundTrips }) => roundTrips) / all, 2),
    errors: round((1_000 * errors) / all, 1),
    wrong: round((1_000 * wrong) / all, 1),
    ...(message !== undefined && { message }),
  }
}

export function spreadOf(values: readonly number[], digits: number): Spread {
  return {
    median: round(median(values) ?? 0, digits),
    least: round(min(values) ?? 0, digits),
    most: round(max(values) ?? 0, digits),
  }
}

export const throughputOf = (slice: Slice): number => slice.succeeded / slice.seconds

export function round(value: number, digits: number): number {
  return Number(value.toFixed(digits))
}
