/** Code for notebooks: inserted into the active one, or dragged to where it shall be. */
import type { JupyterFrontEnd } from '@jupyterlab/application';
import { NotebookActions, type INotebookTracker } from '@jupyterlab/notebook';
import { MimeData } from '@lumino/coreutils';
import { Drag } from '@lumino/dragdrop';

/** What notebooks take when something is dropped on them. */
const CELL_MIME = 'application/vnd.jupyter.cells';

/** Put code into the active notebook; an empty code cell is used, else there is a new one. False without a notebook. */
export function insertCode(tracker: INotebookTracker | null, code: string): boolean {
  const panel = tracker?.currentWidget;
  if (!tracker || !panel || !panel.content.model) {
    return false;
  }
  const notebook = panel.content;
  const active = notebook.activeCell;
  const isEmpty = active?.model.type === 'code' && active.model.sharedModel.getSource().trim() === '';
  if (!isEmpty) {
    NotebookActions.insertBelow(notebook);
    if (notebook.activeCell?.model.type !== 'code') {
      NotebookActions.changeCellType(notebook, 'code');
    }
  }
  notebook.activeCell?.model.sharedModel.setSource(code);
  notebook.mode = 'command';
  void notebook.scrollToItem(notebook.activeCellIndex, 'smart');
  return true;
}

/** Open a new notebook, and put code into it. */
export async function insertIntoNew(
  app: JupyterFrontEnd,
  tracker: INotebookTracker | null,
  code: string
): Promise<boolean> {
  if (!app.commands.hasCommand('notebook:create-new')) {
    return false;
  }
  const kernelName = app.serviceManager.kernelspecs.specs?.default;
  // Without a name it would ask for one.
  await app.commands.execute('notebook:create-new', { activate: true, ...(kernelName ? { kernelName } : {}) });
  const panel = tracker?.currentWidget;
  await panel?.context.ready;
  return insertCode(tracker, code);
}

/** Begin to drag code; notebooks make a cell of it, editors take its text. */
export function dragCode(code: string, path: string, x: number, y: number, source: object): void {
  const mimeData = new MimeData();
  mimeData.setData('text/plain', code);
  mimeData.setData(CELL_MIME, [
    { cell_type: 'code', source: code, metadata: {}, outputs: [], execution_count: null }
  ]);
  const dragImage = document.createElement('div');
  dragImage.className = 'jp-Caterva2-dragImage';
  dragImage.textContent = path;
  const drag = new Drag({ mimeData, dragImage, proposedAction: 'copy', supportedActions: 'copy', source });
  void drag.start(x, y).then(() => drag.dispose());
}
