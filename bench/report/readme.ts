import { readFile, writeFile } from 'node:fs/promises'
import { markdownTable } from 'markdown-table'
import { type ContenderName, FLOOR, OURS } from '../contenders/contender.js'
import { comparisons, headlines, type OperationName } from '../operations.js'
import type { Results } from '../results.js'
import { advantages, callersOf, middle, select } from './selection.js'
import { environmentOf, faultsOf, ratioOf, spreadOf } from './words.js'

const readme = new URL('../../README.md', import.meta.url)
const section = /(?<=<!-- bench: .*?-->\n).*?(?=<!-- \/bench -->)/s

const peers: readonly ContenderName[] = ['go-go-scope', 'verrou', 'keyv', 'bentocache']

/** Writes the figures between the README's markers. */
export async function writeFigures(results: Results): Promise<void> {
  const text = await readFile(readme, 'utf8')
  await writeFile(
    readme,
    text.replace(section, () => figuresOf(results)),
  )
}

/** Whether the README has the figures of these results. */
export async function hasFigures(results: Results): Promise<boolean> {
  const text = await readFile(readme, 'utf8')
  return section.exec(text)?.[0] === figuresOf(results)
}

function figuresOf(results: Results): string {
  const levels = callersOf(results)
  const most = levels.at(-1) ?? 1
  return [
    '',
    'Throughput as a share of that of the cheapest bare mysql2 statement for the same job, by the number of concurrent',
    `callers; then, with ${most} callers, what that statement reaches through mysql2's promises, and what this package's`,
    'own statement reaches without the package. Medians of all servers, with the lowest and the highest server.',
    '',
    markdownTable(
      [
        ['', ...levels.map(String), 'mysql2/promise', 'same statement', 'Client CPU', 'mysql2'],
        ...headlines.map((operation) => [
          `\`${operation}\``,
          ...levels.map((callers) => shareOf(results, operation, OURS, callers)),
          shareOf(results, operation, 'mysql2/promise', most),
          shareOf(results, operation, 'same statement', most),
          processorTimeOf(results, operation, OURS, most),
          processorTimeOf(results, operation, FLOOR, most),
        ]),
      ],
      { align: ['l', ...levels.map(() => 'r'), 'r', 'r', 'r', 'r'] },
    ),
    '',
    `Times the throughput of others for the same job, with ${levels[0]} and with ${most} callers, median of all servers:`,
    '',
    markdownTable(
      [
        ['', ...peers],
        ...comparisons.map((operation) => [
          `\`${operation}\``,
          ...peers.map((peer) => comparisonOf(results, operation, peer)),
        ]),
      ],
      { align: ['l', ...peers.map(() => 'r')] },
    ),
    '',
    ...ownFaultsOf(results),
    '![Throughput against the number of concurrent callers](bench/throughput.svg)',
    '',
    environmentOf(results),
    '',
  ].join('\n')
}

function shareOf(results: Results, operation: OperationName, contender: ContenderName, callers: number): string {
  const shares = select(results, operation, contender, callers).flatMap(({ ratio }) =>
    ratio === undefined ? [] : [ratio.median],
  )
  return spreadOf({ median: middle(shares), least: Math.min(...shares), most: Math.max(...shares) })
}

function processorTimeOf(results: Results, operation: OperationName, by: ContenderName, callers: number): string {
  return `${Math.round(middle(select(results, operation, by, callers).map(({ cpu }) => cpu)))} µs`
}

/** What went wrong with this package itself, which nobody should have to look for. */
function ownFaultsOf({ measurements }: Results): string[] {
  const faulty = measurements.filter(({ contender, errors, wrong }) => contender === OURS && errors + wrong > 0)
  if (faulty.length === 0) return ['All calls of this package succeeded, with right answers.', '']
  return [
    'What went wrong with this package:',
    '',
    ...faulty.map(({ operation, server, callers, message, ...counts }) => {
      const place = `\`${operation}\` on ${server} with ${callers} callers`
      return `- ${place}: ${faultsOf(counts)} of 1,000${message === undefined ? '' : ` (“${message}”)`}`
    }),
    '',
  ]
}

function comparisonOf(results: Results, operation: OperationName, peer: ContenderName): string {
  const levels = callersOf(results)
  const [fewest = 1, most = 1] = [levels[0], levels.at(-1)]
  if (select(results, operation, peer, most).length === 0) return ''
  const times = [fewest, most].map((callers) => {
    const ratios = advantages(results, operation, peer, callers)
    return ratios.length === 0 ? '–' : `${ratioOf(middle(ratios))}×`
  })
  return [[...new Set(times)].join(', '), theirFaultsOf(results, operation, peer)]
    .filter((part) => part !== '')
    .join('; ')
}

/** What went wrong with the most callers, in per cent. */
function theirFaultsOf(results: Results, operation: OperationName, peer: ContenderName): string {
  const measured = select(results, operation, peer, callersOf(results).at(-1) ?? 1)
  const [errors, wrong] = [
    middle(measured.map((measurement) => measurement.errors / 10)),
    middle(measured.map((measurement) => measurement.wrong / 10)),
  ]
  return [
    errors >= 0.05 ? `${ratioOf(errors)} % fail` : '',
    wrong >= 0.05 ? `${ratioOf(wrong)} % ${operation.startsWith('recordFailure') ? 'are lost' : 'are wrong'}` : '',
  ]
    .filter((part) => part !== '')
    .join(', ')
}
