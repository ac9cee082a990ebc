import { readFile, writeFile } from 'node:fs/promises'
import { markdownTable } from 'markdown-table'
import { FLOOR } from '../contenders/contender.js'
import { type Operation, operations } from '../operations.js'
import type { Measurement, Results } from '../results.js'
import { callersOf } from './selection.js'
import { environmentOf, faultsOf, numberOf, ratioOf, spreadOf } from './words.js'

const file = new URL('../results.md', import.meta.url)

/** Writes everything that was measured as a document. */
export async function writeDocument(results: Results): Promise<void> {
  await writeFile(file, documentOf(results))
}

/** Whether the document tells of these results. */
export async function isDocumented(results: Results): Promise<boolean> {
  return (await readFile(file, 'utf8').catch(() => '')) === documentOf(results)
}

function documentOf(results: Results): string {
  return [
    '# What the bench measured',
    '',
    'Written by `npm run bench`; see CONTRIBUTING.md for how.',
    '',
    environmentOf(results),
    '',
    markdownTable([
      ['Server', 'Version', 'Settings'],
      ...results.servers.map(({ name, version, settings }) => [
        name,
        version,
        Object.entries(settings)
          .map(([setting, value]) => `${setting} ${value}`)
          .join(', '),
      ]),
    ]),
    '',
    '## How to read it',
    '',
    `In each of ${results.rounds} rounds each contender got a slice of about ${results.slice} ms, in an order drawn anew. ` +
      'A ratio is the throughput divided by that of `mysql2` in the same round: the median of the rounds, and in ' +
      'parentheses the smallest and the largest. Round trips and client CPU are means over all runs.',
    '',
    '`mysql2` is one prepared statement on a pool with callbacks, the cheapest that could do the job in the best case; ' +
      'it guarantees nothing. `mysql2/promise` is the same through promises. `same statement` is this package’s own statement, sent without the package: the difference to `mysql2` is what its guarantees cost the server, and the difference to `goscope-mysql` what the package costs the client. Each caller has a connection, but for ' +
      'keyv, which opens a pool of its own. “Errors” are calls that threw, “wrong” are calls whose answer or effect was ' +
      'wrong: a lock that two held, a failure that was not counted, a value that was not there.',
    '',
    markdownTable([
      ['Operation', 'Situation', '`mysql2` sends'],
      ...operations.map(({ name, situation, floor }) => [name, situation, floor]),
    ]),
    ...results.servers.flatMap(({ name }) => ['', `## ${name}`, '', serverTable(results, name)]),
    ...growthOf(results),
    ...messagesOf(results),
    '',
  ].join('\n')
}

function serverTable(results: Results, server: string): string {
  const levels = callersOf(results)
  const head = [
    'Operation',
    'By',
    ...levels.map((callers) => (callers === 1 ? '1 caller' : `${callers} callers`)),
    'Round trips',
    'Client CPU',
    'Of 1,000',
  ]
  const rows = operations.flatMap((operation) => operationRows(results, server, operation, levels))
  return markdownTable([head, ...rows])
}

function operationRows(
  { measurements }: Results,
  server: string,
  { name }: Operation,
  levels: readonly number[],
): string[][] {
  const own = measurements.filter(({ operation, ...other }) => operation === name && other.server === server)
  const contenders = [...new Set(own.map(({ contender }) => contender))]
  return contenders.map((contender) => {
    const byLevel = levels.map((callers) =>
      own.find((measurement) => measurement.contender === contender && measurement.callers === callers),
    )
    const [first] = byLevel.filter((measurement) => measurement !== undefined)
    const last = byLevel.at(-1)
    return [
      contender === FLOOR ? `**${name}**` : '',
      contender,
      ...byLevel.map((measurement) => (measurement === undefined ? '' : cell(measurement))),
      first === undefined ? '' : ratioOf(first.roundTrips),
      last === undefined ? '' : `${last.cpu} µs`,
      faultsByLevel(byLevel),
    ]
  })
}

function faultsByLevel(byLevel: readonly (Measurement | undefined)[]): string {
  const faults = byLevel.map((measurement) => (measurement === undefined ? '' : faultsOf(measurement)))
  return faults.every((fault) => fault === '') ? '' : faults.map((fault) => fault || 'none').join('; ')
}

function cell({ contender, throughput, ratio }: Measurement): string {
  if (contender === FLOOR || ratio === undefined) return `${numberOf(throughput.median)}/s`
  return spreadOf(ratio)
}

function growthOf({ growth }: Results): string[] {
  if (growth.length === 0) return []
  return [
    '',
    '## Growing tables',
    '',
    'Operations per second of one caller, with the smallest and the largest of the rounds.',
    '',
    markdownTable([
      ['Server', 'Operation', 'Rows', 'Per second'],
      ...growth.map(({ server, operation, rows, throughput: { median, least, most } }) => [
        server,
        operation,
        rows.toLocaleString('en'),
        `${numberOf(median)} (${numberOf(least)}–${numberOf(most)})`,
      ]),
    ]),
  ]
}

function messagesOf({ measurements }: Results): string[] {
  const messages = new Map<string, string>()
  for (const { contender, operation, message } of measurements) {
    const place = `${contender}, ${operation}`
    if (message === undefined || messages.has(place)) continue
    messages.set(place, `- ${place}: ${message.replaceAll(/\s+/g, ' ').slice(0, 200)}`)
  }
  return messages.size === 0 ? [] : ['', '## What the errors said', '', ...messages.values()]
}
