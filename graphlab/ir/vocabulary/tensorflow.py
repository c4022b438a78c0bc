"""Vocabulary of the tensorflow ops: their ONNX counterparts and effects.

EFFECTS holds every operation that TensorFlow calls stateful and whose doings are known, the
harmless ones too (with no effects): a stateful operation that is not listed is opaque, which the
reader says, for it can ask the OpDef.
"""

from __future__ import annotations

_SAME = """
    Abs Acos Acosh Asin Asinh Atan Atanh BitwiseAnd BitwiseOr BitwiseXor Cast Ceil Cos Cosh Div Einsum Elu Equal Erf Exp
    Floor Greater Identity Less Log MatMul MaxPool Mul Neg Pow Range Reciprocal Relu Reshape Round Selu Shape Sigmoid
    Sign Sin Sinh Size Softmax Softplus Softsign Split Sqrt Squeeze Sub Tan Tanh Tile Transpose
"""

CANONICAL: dict[str, str] = {
    **{f"tf.{name}": name for name in _SAME.split()},
    # elementwise
    "tf.Add": "Add", "tf.AddV2": "Add", "tf.BiasAdd": "Add", "tf.BiasAddV1": "Add", "tf.AddN": "Sum",
    "tf.RealDiv": "Div", "tf.FloorMod": "Mod", "tf.Mod": "Mod", "tf.TruncateMod": "Mod",
    "tf.Maximum": "Max", "tf.Minimum": "Min", "tf.Inv": "Reciprocal", "tf.Rint": "Round",
    "tf.GreaterEqual": "GreaterOrEqual", "tf.LessEqual": "LessOrEqual",
    "tf.LogicalAnd": "And", "tf.LogicalOr": "Or", "tf.LogicalNot": "Not", "tf.Invert": "BitwiseNot",
    "tf.LeakyRelu": "LeakyRelu", "tf.Select": "Where", "tf.SelectV2": "Where", "tf.ClipByValue": "Clip",
    "tf.IsNan": "IsNaN", "tf.IsInf": "IsInf", "tf.LogSoftmax": "LogSoftmax",
    # shape and movement
    "tf.Concat": "Concat", "tf.ConcatV2": "Concat", "tf.Pack": "ConcatFromSequence", "tf.SplitV": "Split",
    "tf.ExpandDims": "Unsqueeze", "tf.BroadcastTo": "Expand", "tf.Fill": "Expand",
    "tf.Slice": "Slice", "tf.StridedSlice": "Slice", "tf.Gather": "Gather", "tf.GatherV2": "Gather", "tf.ResourceGather": "Gather",
    "tf.GatherNd": "GatherND", "tf.ScatterNd": "ScatterND", "tf.TensorScatterUpdate": "ScatterND",
    "tf.Pad": "Pad", "tf.PadV2": "Pad", "tf.MirrorPad": "Pad", "tf.OneHot": "OneHot", "tf.Where": "NonZero",
    "tf.ReverseSequence": "ReverseSequence", "tf.DepthToSpace": "DepthToSpace", "tf.SpaceToDepth": "SpaceToDepth",
    "tf.TopK": "TopK", "tf.TopKV2": "TopK", "tf.Unique": "Unique", "tf.UniqueV2": "Unique",
    "tf.ResizeBilinear": "Resize", "tf.ResizeNearestNeighbor": "Resize", "tf.ResizeBicubic": "Resize",
    # reductions
    "tf.Sum": "ReduceSum", "tf.Mean": "ReduceMean", "tf.Max": "ReduceMax", "tf.Min": "ReduceMin", "tf.Prod": "ReduceProd",
    "tf.ArgMax": "ArgMax", "tf.ArgMin": "ArgMin", "tf.Cumsum": "CumSum",
    # linear algebra and layers
    "tf.BatchMatMul": "MatMul", "tf.BatchMatMulV2": "MatMul", "tf.BatchMatMulV3": "MatMul", "tf.MatrixDeterminant": "Det",
    "tf.Conv2D": "Conv", "tf.Conv3D": "Conv", "tf.DepthwiseConv2dNative": "Conv", "tf.Conv": "Conv",
    "tf.Conv2DBackpropInput": "ConvTranspose", "tf.Conv3DBackpropInputV2": "ConvTranspose",
    "tf.MaxPoolV2": "MaxPool", "tf.MaxPool3D": "MaxPool", "tf.AvgPool": "AveragePool", "tf.AvgPool3D": "AveragePool",
    "tf.FusedBatchNorm": "BatchNormalization", "tf.FusedBatchNormV2": "BatchNormalization", "tf.FusedBatchNormV3": "BatchNormalization",
    "tf.LRN": "LRN", "tf.NonMaxSuppressionV3": "NonMaxSuppression", "tf.NonMaxSuppressionV4": "NonMaxSuppression",
    "tf.QuantizeV2": "QuantizeLinear", "tf.Dequantize": "DequantizeLinear",
    # constants, control, random
    "tf.Const": "Constant", "tf.If": "If", "tf.StatelessIf": "If", "tf.While": "Loop", "tf.StatelessWhile": "Loop", "tf.For": "Loop",
    "tf.Enter": "Identity", "tf.RefEnter": "Identity", "tf.LoopCond": "Identity",
    "tf.RandomUniform": "RandomUniform", "tf.RandomStandardNormal": "RandomNormal", "tf.Multinomial": "Multinomial",
}  # fmt: skip


def _effects(effects: tuple[str, ...], names: str) -> dict[str, tuple[str, ...]]:
    return {f"tf.{name}": effects for name in names.split()}


EFFECTS: dict[str, tuple[str, ...]] = {
    **_effects(("random",), """
        RandomUniform RandomUniformInt RandomStandardNormal TruncatedNormal ParameterizedTruncatedNormal RandomGamma RandomPoisson
        RandomPoissonV2 RandomShuffle RandomCrop Multinomial SampleDistortedBoundingBox SampleDistortedBoundingBoxV2
        AllCandidateSampler UniformCandidateSampler LogUniformCandidateSampler LearnedUnigramCandidateSampler
        FixedUnigramCandidateSampler ThreadUnsafeUnigramCandidateSampler NonDeterministicInts
        CudnnRNN CudnnRNNV2 CudnnRNNV3 AnonymousSeedGenerator AnonymousRandomSeedGenerator RandomDataset RandomDatasetV2
        ShuffleDataset ShuffleDatasetV2 ShuffleDatasetV3 ShuffleAndRepeatDataset ShuffleAndRepeatDatasetV2
    """),
    # a generator's state is advanced by each draw
    **_effects(("random", "writes_state"), """
        StatefulUniform StatefulUniformInt StatefulUniformFullInt StatefulStandardNormal StatefulStandardNormalV2
        StatefulTruncatedNormal StatefulRandomBinomial RngReadAndSkip RngSkip
    """),
    **_effects(("reads_state",), """
        ReadVariableOp ResourceGather ResourceGatherNd VarIsInitializedOp Variable VariableV2 ReadVariableXlaSplitND
        LookupTableFindV2 LookupTableSizeV2 LookupTableExportV2 LookupTableFind LookupTableSize LookupTableExport
        TensorArrayReadV3 TensorArrayGatherV3 TensorArrayConcatV3 TensorArraySizeV3
        MapPeek OrderedMapPeek StagePeek StageSize MapSize OrderedMapSize QueueSizeV2 QueueIsClosedV2 GetSessionTensor
        ResourceAccumulatorNumAccumulated
    """),
    **_effects(("writes_state",), """
        Assign AssignAdd AssignSub AssignVariableOp AssignAddVariableOp AssignSubVariableOp AssignVariableXlaConcatND
        ResourceStridedSliceAssign ResourceScatterAdd ResourceScatterSub ResourceScatterMul ResourceScatterDiv ResourceScatterMin
        ResourceScatterMax ResourceScatterUpdate ResourceScatterNdAdd ResourceScatterNdSub ResourceScatterNdMin
        ResourceScatterNdMax ResourceScatterNdUpdate ScatterUpdate ScatterAdd ScatterSub ScatterNdUpdate ScatterNdAdd
        ResourceCountUpTo DestroyResourceOp InitializeTableV2 InitializeTableFromTextFileV2 InitializeTableFromDataset
        LookupTableInsertV2 LookupTableImportV2 LookupTableRemoveV2
        TensorArrayWriteV3 TensorArrayScatterV3 TensorArraySplitV3 TensorArrayCloseV3 TensorArrayGradV3 TensorArrayGradWithShape
        StackPushV2 StackPopV2 StackCloseV2 Stage Unstage StageClear MapStage MapUnstage MapClear
        OrderedMapStage OrderedMapUnstage OrderedMapClear QueueEnqueueV2 QueueEnqueueManyV2 QueueDequeueV2
        QueueDequeueManyV2 QueueDequeueUpToV2 QueueCloseV2 MakeIterator DeleteIterator IteratorGetNext IteratorGetNextSync
        IteratorGetNextAsOptional ResourceAccumulatorApplyGradient ResourceAccumulatorTakeGradient
        ResourceAccumulatorSetGlobalStep
        ResourceApplyGradientDescent ResourceApplyMomentum ResourceApplyKerasMomentum ResourceApplyAdam ResourceApplyAdamWithAmsgrad
        ResourceApplyAdaMax ResourceApplyAdagrad ResourceApplyAdagradV2 ResourceApplyAdagradDA ResourceApplyAdadelta
        ResourceApplyRMSProp ResourceApplyCenteredRMSProp ResourceApplyFtrl ResourceApplyFtrlV2 ResourceApplyAddSign
        ResourceApplyPowerSign ResourceApplyProximalAdagrad ResourceApplyProximalGradientDescent
        ResourceSparseApplyMomentum ResourceSparseApplyKerasMomentum ResourceSparseApplyAdagrad ResourceSparseApplyAdagradV2
        ResourceSparseApplyAdagradDA ResourceSparseApplyAdadelta ResourceSparseApplyRMSProp ResourceSparseApplyCenteredRMSProp
        ResourceSparseApplyFtrl ResourceSparseApplyFtrlV2 ResourceSparseApplyProximalAdagrad
        ResourceSparseApplyProximalGradientDescent
    """),
    **_effects(("io",), """
        Print PrintV2 Assert CheckNumerics CheckNumericsV2 ReadFile WriteFile MatchingFiles Save SaveV2 SaveSlices Restore RestoreV2
        RestoreSlice MergeV2Checkpoints Timestamp DebugIdentityV2 DebugIdentityV3 DebugNumericSummaryV2
        WriteSummary WriteScalarSummary WriteHistogramSummary WriteImageSummary WriteAudioSummary WriteGraphSummary
        WriteRawProtoSummary FlushSummaryWriter CreateSummaryFileWriter CreateSummaryDbWriter CloseSummaryWriter ImportEvent
        OutfeedEnqueue OutfeedEnqueueTuple OutfeedDequeue OutfeedDequeueTuple OutfeedDequeueV2 OutfeedDequeueTupleV2
        InfeedEnqueue InfeedEnqueueTuple InfeedDequeue InfeedDequeueTuple
        ReaderReadV2 ReaderReadUpToV2 TFRecordDataset TFRecordDatasetV2 TextLineDataset FixedLengthRecordDataset
        FixedLengthRecordDatasetV2 CSVDataset CSVDatasetV2 MatchingFilesDataset DatasetToTFRecord
    """),
    **_effects(("host", "opaque"), "PyFunc PyFuncStateless EagerPyFunc GeneratorDataset XlaHostCompute _XlaHostComputeMlir RemoteCall"),
    **_effects(("collective",), """
        CollectiveReduce CollectiveReduceV2 CollectiveReduceV3 CollectiveReduceScatterV2 CollectiveGather CollectiveGatherV2
        CollectiveBcastSend CollectiveBcastSendV2 CollectiveBcastRecv CollectiveBcastRecvV2 CollectiveAllToAllV2
        CollectiveAllToAllV3 CollectivePermute CollectiveAssignGroupV2 CollectiveInitializeCommunicator
        NcclAllReduce NcclReduce NcclBroadcast CrossReplicaSum AllToAll Send Recv _Send _Recv _HostSend _HostRecv
        XlaAllReduce XlaReduceScatter
    """),
    # Stateful to TensorFlow so that they are neither folded nor merged; a run depends on their operands alone.
    **_effects((), """
        VarHandleOp VariableShape TemporaryVariable Empty DeepCopy GuaranteeConst DeviceIndex StatelessRandomGetAlg DisableCopyOnRead
        HashTable HashTableV2 AnonymousHashTable MutableHashTable MutableHashTableV2 AnonymousMutableHashTable
        MutableHashTableOfTensorsV2 AnonymousMutableHashTableOfTensors MutableDenseHashTableV2 AnonymousMutableDenseHashTable
        TensorArrayV3 StackV2 FIFOQueueV2 PaddingFIFOQueueV2 PriorityQueueV2 RandomShuffleQueueV2 MutexV2
        Iterator IteratorV2 AnonymousIterator AnonymousIteratorV2 AnonymousIteratorV3 IteratorFromStringHandleV2
        IteratorToStringHandle TensorDataset TensorSliceDataset RangeDataset ListDataset SparseTensorSliceDataset
        CacheDatasetV2 SummaryWriter
        AnonymousMemoryCache DummyMemoryCache DummySeedGenerator DummyIterationCounter GetSessionHandle GetSessionHandleV2
    """),
}  # fmt: skip
