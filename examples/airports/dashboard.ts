import Table from 'cli-table3'
import type { CircuitState } from 'goscope-mysql'
import { createLogUpdate } from 'log-update'
import colours from 'picocolors'
import type { Counts } from './crew.js'
import type { Mood } from './enrichment-service.js'
import type { WorkerProcess } from './worker-process.js'

/** One picture of the import. */
export interface Picture {
  readonly seconds: number
  readonly rows: number
  readonly allRows: number
  readonly processes: readonly WorkerProcess[]
  readonly counts: Counts
  readonly crashes: number
  readonly circuit: CircuitState
  readonly service: Mood
}

/** Shows how the import goes: a table that is redrawn on a terminal, a line now and then elsewhere. */
export interface Dashboard {
  show(picture: Picture): void
  /** Leaves the last picture on the screen. */
  end(picture: Picture): void
}

const MILLISECONDS_PER_LINE = 2_000

export function openDashboard(stream: NodeJS.WriteStream): Dashboard {
  return stream.isTTY ? redrawn(stream) : printed(stream)
}

function redrawn(stream: NodeJS.WriteStream): Dashboard {
  const log = createLogUpdate(stream)
  return {
    show: (picture) => log(draw(picture)),
    end(picture) {
      log(draw(picture))
      log.done()
    },
  }
}

function printed(stream: NodeJS.WriteStream): Dashboard {
  let last = 0
  return {
    show(picture) {
      if (performance.now() - last < MILLISECONDS_PER_LINE) return
      last = performance.now()
      stream.write(`${line(picture)}\n`)
    },
    end: (picture) => stream.write(`${line(picture)}\n`),
  }
}

/** The whole picture, as a table and a bar. */
export function draw(picture: Picture): string {
  const table = new Table({
    head: ['worker', 'process', 'shard', 'fencing token', 'after step', 'batches left', 'rows', 'hits/misses'],
    colAligns: ['right', 'right', 'right', 'right', 'left', 'right', 'right', 'right'],
    colWidths: [8, 9, 7, 18, 22, 14, 7, 13],
    style: { head: [], border: [], compact: true },
  })
  for (const { worker, pid, status, suspended } of picture.processes) {
    table.push([
      worker,
      pid ?? '',
      status?.held?.shard ?? '',
      status?.held?.fence ?? '',
      suspended === undefined ? (status?.step ?? colours.dim('starting')) : colours.yellow('suspended'),
      status?.held == null ? '' : status.batchesLeft,
      status?.rowsApplied ?? 0,
      status === undefined ? '' : `${status.cacheHits}/${status.cacheMisses}`,
    ])
  }
  const { counts } = picture
  return [
    table.toString(),
    `${bar(picture.rows / picture.allRows, 50)} ${number(picture.rows)} of ${number(picture.allRows)} rows, ${picture.seconds.toFixed(0)} s`,
    `service ${moodColours[picture.service](picture.service)}, breaker ${circuitColours[picture.circuit](picture.circuit)}, ` +
      `cache ${number(counts.cacheHits)} hits, ${number(counts.cacheMisses)} misses`,
    `${colours.red(`${picture.crashes} workers killed`)}, late writes refused: ${counts.refused}, ` +
      `${counts.repeatedByRecord + counts.repeatedByTable} batches recognised as applied`,
  ].join('\n')
}

function line({ seconds, rows, allRows, processes, counts, crashes, circuit, service }: Picture): string {
  const shards = processes.map(({ status, suspended }) => (suspended ? 'suspended' : (status?.held?.shard ?? '-')))
  return [
    `${seconds.toFixed(0).padStart(3)} s ${bar(rows / allRows, 20)} ${rows}/${allRows} rows`,
    `shards ${shards.join(' ')}`,
    `breaker ${circuit}, service ${service}`,
    `cache ${counts.cacheHits}/${counts.cacheMisses}`,
    `${crashes} killed`,
    `${counts.refused} refused`,
  ].join(' | ')
}

function bar(part: number, width: number): string {
  const full = Math.round(part * width)
  return '█'.repeat(full) + '░'.repeat(width - full)
}

function number(value: number): string {
  return value.toLocaleString('en')
}

const moodColours = { well: colours.green, failing: colours.red, slow: colours.yellow }
const circuitColours = { closed: colours.green, open: colours.red, 'half-open': colours.yellow }
